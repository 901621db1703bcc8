package stack

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// shape is a trace in one line: type=value[function@path:line+] for each
// exception, first cause first, + for in_app.
func shape(t Trace) string {
	var parts []string
	for _, e := range t.Exceptions {
		var frames []string
		for _, f := range e.Frames {
			mark := "-"
			if f.InApp {
				mark = "+"
			}
			frames = append(frames, fmt.Sprintf("%s@%s:%d%s", f.Function, f.Path, f.Line, mark))
		}
		parts = append(parts, fmt.Sprintf("%s=%s[%s]", e.FullType(), e.Value, strings.Join(frames, " ")))
	}
	return t.Language + " " + strings.Join(parts, " ; ")
}

var cases = map[string]struct {
	text    string
	want    string
	runtime bool
}{
	"node invoke error": {"2026-01-01T00:00:00Z\tr\tERROR\tInvoke Error \t" + `{"errorType":"TypeError","errorMessage":"x is undefined","code":"E","stack":["TypeError: x is undefined","    at Runtime.handler (/var/task/index.js:3:9)","    at async /var/task/node_modules/lib/a.js:1:2","    at node:internal/process:9:1"]}` + "\n",
		"node TypeError=x is undefined[@node:internal/process:9- @/var/task/node_modules/lib/a.js:1- Runtime.handler@/var/task/index.js:3+]", true},
	"node joined by carriage returns": {"2026-01-01T00:00:00Z\tr\tERROR\tInvoke Error \t{\r  \"errorType\":\"Error\",\r  \"errorMessage\":\"b\",\r \"stack\":[\"Error: b\",\"    at f (/var/task/a.js:1:2)\"]}",
		"node Error=b[f@/var/task/a.js:1+]", true},
	"node cut in the middle": {"2026-01-01T00:00:00Z\tr\tERROR\tInvoke Error \t" + `{"errorType":"Error","errorMessage":"b","response":{"da`,
		"node Error=b[]", true},
	"node process that dies by itself": {"/var/task/x.js:1\nthrow new Error('x')\n^\n\nError: bad\n  second line\n    at f (/var/task/x.js:1:7)\n    at g (/var/runtime/y.js:2:3)\n\nNode.js v20.11.0",
		"node Error=bad\n  second line[g@/var/runtime/y.js:2- f@/var/task/x.js:1+]", true},
	"node logged with a cause": {"2026-01-01T00:00:00Z\tr\tERROR\tError: outer\n    at f (/var/task/x.js:1:7) {\n  [cause]: RangeError [ERR_X]: inner\n      at g (/var/task/y.js:2:3)\n}",
		"node RangeError=inner[g@/var/task/y.js:2+] ; Error=outer[f@/var/task/x.js:1+]", false},
	"python of the runtime": {"[ERROR] KeyError: 'a'\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\", line 3, in handler\n\u00a0\u00a0\u00a0\u00a0x['a']",
		"python KeyError='a'[handler@/var/task/app.py:3+]", true},
	"python import error": {"[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'x'\rTraceback (most recent call last):",
		"python Runtime.ImportModuleError=Unable to import module 'app': No module named 'x'[]", true},
	"python syntax error": {"[ERROR] Runtime.UserCodeSyntaxError: Syntax error in module 'app': invalid syntax (app.py, line 3)\nTraceback (most recent call last):\n\u00a0\u00a0File \"/var/task/app.py\" Line 3\n\u00a0\u00a0\u00a0\u00a0def (\n",
		"python Runtime.UserCodeSyntaxError=Syntax error in module 'app': invalid syntax (app.py, line 3)[@/var/task/app.py:3+]", true},
	"python of the interpreter, chained": {"Traceback (most recent call last):\n  File \"/var/task/a.py\", line 1, in f\n    x\n    ^\nKeyError: 'k'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/opt/python/b.py\", line 2, in g\nmy.pkg.AppError: two\nlines\n",
		"python KeyError='k'[f@/var/task/a.py:1+] ; my.pkg.AppError=two\nlines[g@/opt/python/b.py:2-]", false},
	"java of the runtime": {"boom: java.lang.RuntimeException\njava.lang.RuntimeException: boom\n\tat com.x.H.h(H.java:12)\n\tat java.base/java.lang.M.i(M.java:1)\nCaused by: java.sql.SQLException: inner\nmore\n\tat com.x.D.d(D.java:3)\n\t... 1 more\n",
		"java java.sql.SQLException=inner\nmore[i@M.java:1- d@D.java:3+] ; java.lang.RuntimeException=boom[i@M.java:1- h@H.java:12+]", true},
	"java printed by the user": {"java.lang.IllegalStateException\n\tat com.x.H.h(H.java:12)\n\tSuppressed: java.io.IOException: s\n\t\tat com.x.S.s(S.java:1)\n",
		"java java.lang.IllegalStateException=[h@H.java:12+]", false},
	"java class not found": {"Class not found: com.x.Missing: java.lang.ClassNotFoundException\njava.lang.ClassNotFoundException: com.x.Missing\n\tat java.base/java.net.URLClassLoader.findClass(Unknown Source)\n",
		"java java.lang.ClassNotFoundException=com.x.Missing[findClass@:0-]", true},
	"ruby of the runtime": {"Critical exception from handler\n{\n  \"errorMessage\": \"undefined method\",\n  \"errorType\": \"Function<NoMethodError>\",\n  \"stackTrace\": [\n    \"/var/task/a.rb:3:in 'h'\",\n    \"/var/runtime/gems/x.rb:1:in 'go'\"\n  ]\n}",
		"ruby NoMethodError=undefined method[go@/var/runtime/gems/x.rb:1- h@/var/task/a.rb:3+]", true},
	"ruby of the interpreter": {"/var/task/a.rb:1:in `h': bad thing (ArgumentError)\n\tfrom /var/task/b.rb:2:in `<main>'\n",
		"ruby ArgumentError=bad thing[<main>@/var/task/b.rb:2+ h@/var/task/a.rb:1+]", false},
	"ruby of the interpreter, chained": {"/var/task/a.rb:4:in 'rescue in h': outer (RuntimeError)\n\tfrom /var/task/a.rb:1:in 'h'\n/var/task/a.rb:2:in 'h': inner (ArgumentError)\n\tfrom /var/task/b.rb:2:in '<main>'\n",
		"ruby ArgumentError=inner[<main>@/var/task/b.rb:2+ h@/var/task/a.rb:2+] ; RuntimeError=outer[h@/var/task/a.rb:1+ rescue in h@/var/task/a.rb:4+]", false},
	"dotnet of the runtime": {"2026-01-01T00:00:00Z\tr\tfail\tSystem.Exception: outer\n ---> System.ArgumentException: inner\n   at Ns.A.M() in /var/task/f.cs:line 3\n   --- End of inner exception stack trace ---\n   at Ns.B..ctor(String s)\n   at System.Threading.T.Run()",
		"csharp System.ArgumentException=inner[M@/var/task/f.cs:3+] ; System.Exception=outer[Run@:0- .ctor@:0+]", true},
	"dotnet process that dies by itself": {"Unhandled exception. System.InvalidOperationException: bad\n   at Program.Main(String[] args) in /src/P.cs:line 7\n",
		"csharp System.InvalidOperationException=bad[Main@/src/P.cs:7+]", true},
	"go of the runtime": {`2009/11/10 23:00:00 {"errorMessage":"x","errorType":"errorString","stackTrace":[{"path":"a/main.go","line":3,"label":"main.f"}]}`,
		"go errorString=x[f@a/main.go:3+]", true},
	"go panic": {"panic: runtime error: index out of range [5] with length 3\n\tpanic: again\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/x/main.go:12 +0x1d\ncreated by main.main in goroutine 1\n\t/x/main.go:3 +0x1\n\ngoroutine 2 [select]:\nmain.other()\n\t/x/o.go:1\nexit status 2",
		"go panic=runtime error: index out of range [5] with length 3\npanic: again[main@/x/main.go:3+ f@/x/main.go:12+]", true},
	"go fatal error": {"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/x/main.go:3 +0x1\n",
		"go fatal error=all goroutines are asleep - deadlock![main@/x/main.go:3+]", true},
}

func TestTextFormats(t *testing.T) {
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := ReadText(c.text)
			if got := shape(f.Trace); got != c.want || f.Runtime != c.runtime {
				t.Errorf("got  %s runtime=%v\nwant %s runtime=%v", got, f.Runtime, c.want, c.runtime)
			}
		})
	}
}

func TestJSONFormats(t *testing.T) {
	for name, c := range map[string]struct{ record, want string }{
		"node":                           {`{"level":"ERROR","requestId":"r","message":{"errorType":"Error","errorMessage":"b","stackTrace":["Error: b","    at f (/var/task/a.js:1:2)"]}}`, "node Error=b[f@/var/task/a.js:1+]"},
		"node, an error of Lambda's own": {`{"level":"ERROR","message":{"errorType":"ImportModuleError","errorMessage":"Error: Cannot find module 'x'","stackTrace":["Runtime.ImportModuleError: Error: Cannot find module 'x'","Require stack:","- /var/task/app.js","    at _loadUserApp (file:///var/runtime/index.mjs:1307:17)"]}}`, "node Runtime.ImportModuleError=Error: Cannot find module 'x'[_loadUserApp@/var/runtime/index.mjs:1307-]"},
		"node, unhandled rejection":      {`{"level":"ERROR","requestId":"r","message":{"errorType":"UnhandledPromiseRejection","errorMessage":"TypeError: n","stackTrace":["Runtime.UnhandledPromiseRejection: TypeError: n","    at process.<anonymous> (file:///var/runtime/index.mjs:1563:17)"],"reason":{"errorType":"TypeError","errorMessage":"n","stackTrace":["TypeError: n","    at reject (/var/task/app.js:1:36)"]},"promise":{}}}`, "node TypeError=n[reject@/var/task/app.js:1+] ; Runtime.UnhandledPromiseRejection=TypeError: n[process.<anonymous>@/var/runtime/index.mjs:1563-]"},
		"node chain of causes":           {`{"level":"ERROR","message":{"errorType":"A","errorMessage":"a","cause":{"errorType":"B","errorMessage":"b","cause":{"errorType":"C","errorMessage":"c"}}}}`, " C=c[] ; B=b[] ; A=a[]"},
		"python":                         {`{"log_level":"ERROR","errorMessage":"'a'","errorType":"KeyError","requestId":"r","stackTrace":["  File \"/var/task/app.py\", line 3, in handler\n    x['a']\n"]}`, "python KeyError='a'[handler@/var/task/app.py:3+]"},
		"java text":                      {`{"level":"ERROR","message":"boom: java.lang.RuntimeException\njava.lang.RuntimeException: boom\n\tat com.x.H.h(H.java:12)\n","AWSRequestId":"r"}`, "java java.lang.RuntimeException=boom[h@H.java:12+]"},
		"java object":                    {`{"level":"ERROR","errorType":"java.lang.RuntimeException","errorMessage":"boom","stackTrace":["com.x.H.h(H.java:12)"]}`, "java java.lang.RuntimeException=boom[h@H.java:12+]"},
		"python chain":                   {`{"log_level":"ERROR","errorMessage":"b","errorType":"ValueError","stackTrace":["  File \"/var/task/app.py\", line 3, in handler\n    x()\n"],"cause":{"errorType":"KeyError","errorMessage":"'a'"}}`, "python KeyError='a'[] ; ValueError=b[handler@/var/task/app.py:3+]"},
		"ruby":                           {`{"level":"ERROR","errorMessage":"undefined method","errorType":"Function<NoMethodError>","stackTrace":["/var/task/a.rb:3:in 'h'","/var/runtime/gems/x.rb:1:in 'go'"]}`, "ruby NoMethodError=undefined method[go@/var/runtime/gems/x.rb:1- h@/var/task/a.rb:3+]"},
		"ruby text":                      {`{"level":"ERROR","message":"Error raised from handler method\n{\n  \"errorMessage\": \"boom\",\n  \"errorType\": \"Function<RuntimeError>\",\n  \"stackTrace\": [\n    \"/var/task/a.rb:3:in 'h'\"\n  ]\n}"}`, "ruby RuntimeError=boom[h@/var/task/a.rb:3+]"},
		"dotnet":                         {`{"timestamp":"T","level":"Error","requestId":"r","traceId":"t","message":"outer","errorType":"System.InvalidOperationException","errorMessage":"outer","stackTrace":["   at Ns.A.M() in /var/task/f.cs:line 3","   at System.Threading.T.Run()"]}`, "csharp System.InvalidOperationException=outer[Run@:0- M@/var/task/f.cs:3+]"},
		"dotnet text":                    {`{"level":"Error","message":"System.Exception: outer\n ---> System.ArgumentException: inner\n   at Ns.A.M() in /var/task/f.cs:line 3\n   --- End of inner exception stack trace ---\n   at Ns.B.C(String s)"}`, "csharp System.ArgumentException=inner[M@/var/task/f.cs:3+] ; System.Exception=outer[C@:0+]"},
		"java chain":                     {`{"level":"ERROR","message":"boom: java.lang.RuntimeException\njava.lang.RuntimeException: boom\n\tat com.x.H.h(H.java:12)\nCaused by: java.sql.SQLException: inner\n\tat com.x.D.d(D.java:3)\n\t... 1 more\n"}`, "java java.sql.SQLException=inner[h@H.java:12+ d@D.java:3+] ; java.lang.RuntimeException=boom[h@H.java:12+]"},
		"go":                             {`{"level":"ERROR","errorMessage":"x","errorType":"errorString","stackTrace":[{"path":"a/main.go","line":3,"label":"main.f"}]}`, "go errorString=x[f@a/main.go:3+]"},
		"go panic":                       {`{"level":"ERROR","message":"panic: boom\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/x/main.go:12 +0x1d\n"}`, "go panic=boom[f@/x/main.go:12+]"},
		"below error level":              {`{"level":"WARN","message":{"errorType":"Error","errorMessage":"b"}}`, " "},
	} {
		t.Run(name, func(t *testing.T) {
			line := ReadLine(json.RawMessage(c.record))
			if got := shape(ReadFields(line).Trace); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestInAppIsTheFunctionsOwnCode(t *testing.T) {
	for path, want := range map[string]bool{
		"/var/task/index.js": true, "/var/task/node_modules/lib/a.js": false, "/var/task/.pnpm/lib/a.js": false, "/var/runtime/index.mjs": false, "node:internal/modules": false, "<anonymous>": false,
		"/var/task/app.py": true, "/var/task/site-packages/lib.py": false, "/usr/lib/python3/dist-packages/x.py": false, "/var/lang/lib/python3.13/json/__init__.py": false, "<frozen importlib._bootstrap>": false, "/opt/python/b.py": false,
		"/var/task/a.rb": true, "/var/task/vendor/bundle/ruby/3.3.0/gems/rack-3.0/lib/rack.rb": false, "/var/runtime/gems/x.rb": false,
		"/src/app/main.go": true, "/root/go/pkg/mod/github.com/aws/aws-lambda-go@v1.47.0/lambda/entry.go": false, "/usr/local/go/src/runtime/panic.go": false,
		"/src/P.cs": true, "": false,
	} {
		if inApp(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
}

func TestOrdinaryLogsSayNothing(t *testing.T) {
	for _, text := range []string{"", "hello", "[ERROR]\t2026-01-01T00:00:00Z\tr\tbad thing", "[ERROR] database: gone", "2026-01-01T00:00:00Z\tr\tINFO\tat home: 1:2", "error: none", "at 10:20:30 it began", "goroutines are fine", "{}"} {
		if f := ReadText(text); f.Runtime || len(f.Exceptions) > 0 || f.OutOfMemory {
			t.Errorf("%q gave %s", text, shape(f.Trace))
		}
	}
}

func TestOutOfMemoryMarkers(t *testing.T) {
	for _, text := range []string{"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)",
		"[ERROR] MemoryError\nTraceback (most recent call last):", "app.rb:1:in `h': failed to allocate memory (NoMemoryError)", "System.OutOfMemoryException: x", "fatal error: runtime: out of memory"} {
		if !ReadText(text).OutOfMemory {
			t.Errorf("%q is not seen as out of memory", text)
		}
	}
}

func TestADeepRecursionKeepsBothEnds(t *testing.T) {
	text := "RangeError: Maximum call stack size exceeded\n"
	for i := 1; i <= 500; i++ {
		text += fmt.Sprintf("    at f%d (/var/task/a.js:%d:1)\n", i, i)
	}
	trace, _ := Parse(text)
	frames := trace.Last().Frames
	if len(frames) != maxFrames || frames[0].Function != "f500" || frames[len(frames)-1].Function != "f1" {
		t.Errorf("%d frames from %s to %s", len(frames), frames[0].Function, frames[len(frames)-1].Function)
	}
}

// FuzzParseStack: no text may panic or give more than is allowed.
func FuzzParseStack(f *testing.F) {
	for _, c := range cases {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := ReadText(text)
		raw, err := json.Marshal(text)
		if err == nil {
			ReadLine(raw)
		}
		ReadFields(ReadLine(json.RawMessage(text)))
		if len(found.Exceptions) > maxExceptions {
			t.Errorf("%d exceptions", len(found.Exceptions))
		}
		for _, e := range found.Exceptions {
			if len(e.Value) > maxValue || len(e.Frames) > maxFrames || e.Type == "" {
				t.Errorf("out of bounds: %q, %d bytes, %d frames", e.Type, len(e.Value), len(e.Frames))
			}
		}
	})
}
