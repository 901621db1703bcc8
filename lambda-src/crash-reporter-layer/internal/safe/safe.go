// Package safe keeps a bug in this extension from becoming the function's:
// a panic that leaves a goroutine ends the process, and a process that ends
// fails the invocation with Extension.Crash.
package safe

import "fmt"

// Do runs f and returns a panic as text, empty if there was none.
func Do(f func()) (panicked string) {
	defer func() {
		if r := recover(); r != nil {
			panicked = fmt.Sprintf("internal error: %v", r)
		}
	}()
	f()
	return ""
}

// Go runs f in a goroutine; failed learns of a panic.
func Go(f func(), failed func(string)) {
	go func() {
		if text := Do(f); text != "" {
			Do(func() { failed(text) })
		}
	}()
}
