package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestBothArchitecturesAreStaticAndReproducible(t *testing.T) {
	t.Parallel()
	other := t.TempDir()
	if out, err := exec.Command("cp", "-r", ".", filepath.Join(other, "copy")).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		first, second := filepath.Join(other, arch+"1"), filepath.Join(other, arch+"2")
		if err := buildFor(arch, first); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", second, ".")
		cmd.Dir = filepath.Join(other, "copy")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		a, errA := os.ReadFile(first)
		b, errB := os.ReadFile(second)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s: two builds differ", arch)
		}
		file, err := elf.Open(first)
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != machine {
			t.Errorf("%s: machine %v", arch, file.Machine)
		}
		for _, program := range file.Progs {
			if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: has %v, so it is not static", arch, program.Type)
			}
		}
		file.Close()
	}
}
