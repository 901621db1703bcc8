package harness

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one life of the extension.
type Process struct {
	cmd    *exec.Cmd
	output lockedBuffer
	exited chan struct{}
	err    error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Start runs a new process of the extension and waits until it asks for events.
func (l *Lambda) Start() *Lambda {
	l.T.Helper()
	l.Launch()
	l.WaitNexts(1)
	return l
}

// Launch runs a new process of the extension.
func (l *Lambda) Launch() {
	l.T.Helper()
	l.note(func() { l.nexts, l.sent, l.taken = 0, 0, 0 })
	p := &Process{cmd: exec.Command(l.Binary), exited: make(chan struct{})}
	p.cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + l.server.Listener.Addr().String(), "CRASH_REPORTER_STATE_DIR=" + l.StateDir}
	for _, name := range []string{"MUTANT", "MUTATION_REACHED"} { // scripts/mutation/go.mts
		if value := os.Getenv(name); value != "" {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	for name, value := range l.Env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	l.launched = time.Now()
	if err := p.cmd.Start(); err != nil {
		l.T.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	l.process = p
}

// Alive says whether the process runs.
func (l *Lambda) Alive() bool {
	select {
	case <-l.process.exited:
		return false
	default:
		return true
	}
}

// WaitExit returns the exit code.
func (l *Lambda) WaitExit() int {
	l.T.Helper()
	select {
	case <-l.process.exited:
	case <-time.After(10 * time.Second):
		l.T.Fatal("did not exit")
	}
	return l.process.cmd.ProcessState.ExitCode()
}

// Kill ends the process, if it runs.
func (l *Lambda) Kill() {
	if l.process != nil && l.Alive() {
		_ = l.process.cmd.Process.Kill()
		<-l.process.exited
	}
}

// Freeze stops the process as Lambda does between invocations; Thaw wakes it.
func (l *Lambda) Freeze() { _ = l.process.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw wakes a frozen process.
func (l *Lambda) Thaw() { _ = l.process.cmd.Process.Signal(syscall.SIGCONT) }

// Pid is the process's id.
func (l *Lambda) Pid() int { return l.process.cmd.Process.Pid }

// Output is what the extension has printed.
func (l *Lambda) Output() string {
	if l.process == nil {
		return ""
	}
	return l.process.output.String()
}

// StartTimes are from exec to register and from register to the first event/next.
func (l *Lambda) StartTimes() (register, next time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.registerAt.Sub(l.launched), l.nextAt.Sub(l.registerAt)
}

// CPU is the processor time the process has used, in all its threads.
func (l *Lambda) CPU() time.Duration {
	l.T.Helper()
	var total time.Duration
	files, _ := filepath.Glob("/proc/" + strconv.Itoa(l.Pid()) + "/task/*/schedstat")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		fields := strings.Fields(string(raw))
		if err != nil || len(fields) == 0 {
			continue
		}
		ns, _ := strconv.ParseInt(fields[0], 10, 64)
		total += time.Duration(ns)
	}
	return total
}

// Memory reads a field in kB from a file of the process in /proc, such as Rss from smaps_rollup.
func (l *Lambda) Memory(file, field string) float64 {
	l.T.Helper()
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(l.Pid()) + "/" + file)
	if err != nil {
		l.T.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "\n"+field+":")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kB, err := strconv.ParseFloat(number, 64)
	if err != nil {
		l.T.Fatalf("%s in %s: %v", field, file, err)
	}
	return kB
}
