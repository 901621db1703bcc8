package state

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each limit from both sides: otherwise nobody would see it change.
func TestLimits(t *testing.T) {
	item := func(length int) []byte { return []byte(`"` + strings.Repeat("x", length-2) + `"`) }
	name := func(i int) string { return fmt.Sprintf("%032x", i) }
	for length, want := range map[int]bool{128 << 10: true, 128<<10 + 1: false} {
		if got := OpenSpool(t.TempDir()).Save(name(1), item(length)); got != want {
			t.Errorf("an event of %d bytes: %v", length, got)
		}
	}
	for last, want := range map[int]bool{64 << 10: true, 64<<10 + 1: false} {
		dir := t.TempDir()
		s := OpenSpool(dir)
		if !s.Save(name(1), item(128<<10)) || !s.Save(name(2), item(64<<10)) || s.Save(name(3), item(last)) != want {
			t.Errorf("the last one of %d bytes", last)
		}
		if err := os.WriteFile(filepath.Join(dir, name(3)+suffix), item(last), 0o600); err != nil {
			t.Fatal(err)
		}
		if items, _ := OpenSpool(dir).Leftovers(time.Now()); (len(items) == 3) != want {
			t.Errorf("the last one of %d bytes: %d are read", last, len(items))
		}
	}
	for age, want := range map[time.Duration]int{24 * time.Hour: 1, 24*time.Hour + time.Second: 0} {
		dir := t.TempDir()
		OpenSpool(dir).Save(name(1), item(10))
		if err := os.Chtimes(filepath.Join(dir, name(1)+suffix), now, now); err != nil {
			t.Fatal(err)
		}
		if items, _ := OpenSpool(dir).Leftovers(now.Add(age)); len(items) != want {
			t.Errorf("after %v: %d are read", age, len(items))
		}
	}
	if (Account{HeldBack: map[Reason]int{Duplicate: -1, Queue: 1}}).valid() {
		t.Error("less than none is held back")
	}
	for crashes, want := range map[int]bool{0: true, 1: true, 1<<40 - 1: true, 1 << 40: false, -1: false} {
		if got := (Account{Crashes: crashes}).valid(); got != want {
			t.Errorf("%d crashes: %v", crashes, got)
		}
	}
	if (Account{Sent: -1}).valid() || !(Account{Sent: 1, Crashes: 1}).valid() {
		t.Error("the number of sent ones")
	}
	// Sentry's pause counts for a day at most, and a duplicate from a minute on.
	for back, want := range map[time.Duration]bool{0: true, time.Millisecond: false} {
		dir := t.TempDir()
		OpenLedger(dir, limits, now).Limit(now.Add(48*time.Hour), now)
		if got := OpenLedger(dir, limits, now.Add(-back)).Limited(now); got != want {
			t.Errorf("a pause of a day and %v: %v", back, got)
		}
	}
	l := OpenLedger(t.TempDir(), limits, now)
	l.Limit(now.Add(time.Second), now)
	if !l.Limited(now.Add(999*time.Millisecond)) || l.Limited(now.Add(time.Second)) {
		t.Error("the end of a pause")
	}
	for later, want := range map[time.Duration]bool{time.Minute: true, time.Minute - time.Millisecond: false} {
		l := OpenLedger(t.TempDir(), limits, now)
		l.Admit(Crash{Fingerprint: "a"}, now)
		if got := l.Admit(Crash{Fingerprint: "a"}, now.Add(later)).Send; got != want {
			t.Errorf("the same after %v: %v", later, got)
		}
	}
	for later, want := range map[time.Duration]bool{15 * time.Minute: true, 15*time.Minute - time.Millisecond: false} {
		dir := t.TempDir()
		OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a", Init: true}, now)
		if got := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "b", Init: true, InitRetry: true}, now.Add(later)).Send; got != want {
			t.Errorf("the second initialization after %v: %v", later, got)
		}
	}
	// A ledger of 64 KiB is read.
	for length, want := range map[int]bool{64 << 10: false, 64<<10 + 1: true} {
		dir := t.TempDir()
		OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a"}, now)
		file := filepath.Join(dir, "ledger.json")
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(raw, []byte(strings.Repeat(" ", length-len(raw)))...), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a"}, now).Send; got != want {
			t.Errorf("a ledger of %d bytes: sent %v", length, got)
		}
	}
}

func TestLimitsOfTheBook(t *testing.T) {
	held := func(n int) *Ledger {
		l := OpenLedger(t.TempDir(), limits, now)
		for range n {
			l.HoldBack("f", 0, Duplicate)
		}
		return l
	}
	l := held(3)
	l.Reported(map[Reason]int{Duplicate: 2}, now)
	if got := l.Unreported(); len(got) != 1 || got[Duplicate] != 1 {
		t.Errorf("after two of three were reported: %v", got)
	}
	l = held(1)
	l.Release("f", Duplicate, now)
	if got := l.Unreported(); len(got) != 0 {
		t.Errorf("after a release: %v", got)
	}
	l = held(1)
	l.Reported(map[Reason]int{Duplicate: 1}, now)
	if l.ReportDue(now.Add(time.Minute-time.Millisecond)) || !l.ReportDue(now.Add(time.Minute)) {
		t.Error("the next report is not due after a minute")
	}
	if !(Account{HeldBack: map[Reason]int{Duplicate: 0}}).valid() {
		t.Error("a book with a zero")
	}
	if got := readCounts([]byte(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1}`)); len(got) != 11 {
		t.Errorf("%d reasons", len(got))
	}
}

func TestLimitsOfTheLedger(t *testing.T) {
	l := OpenLedger(t.TempDir(), limits, now)
	for _, step := range []struct {
		later time.Duration
		want  bool
	}{{0, true}, {0, false}, {time.Second, true}} {
		if at := now.Add(step.later); l.Limit(at.Add(time.Second), at) != step.want {
			t.Errorf("a pause after %v is news: %v", step.later, !step.want)
		}
	}
	if d := l.Admit(Crash{Fingerprint: "a"}, now.Add(2*time.Second)); !d.Send {
		t.Errorf("at the end of a pause: %+v", d)
	}
	// What a process has used up, the next one does not have.
	dir := t.TempDir()
	one := Limits{PerMinute: 1, Window: time.Minute}
	l = OpenLedger(dir, one, now)
	if !l.Admit(Crash{Fingerprint: "a"}, now).Send {
		t.Error("one a minute, and none is sent")
	}
	l.HoldBack("b", 0, Queue)
	l.Reported(map[Reason]int{Queue: 1}, now)
	l = OpenLedger(dir, one, now)
	if l.Admit(Crash{Fingerprint: "c"}, now).Send || l.ReportDue(now) {
		t.Error("the next process begins anew")
	}
}

func TestNothingIsLeftOfAFileThatCouldNotBeReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.json")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, nil); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(path + ".tmp"); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func TestWhatIsDeletedMakesRoom(t *testing.T) {
	s := OpenSpool(t.TempDir())
	item := []byte(`"` + strings.Repeat("x", 128<<10-2) + `"`)
	name := func(i int) string { return fmt.Sprintf("%032x", i) }
	saved := s.Save(name(1), item) && s.Save(name(2), item) && !s.Save(name(3), item)
	s.Delete(name(1), len(item))
	if !saved || !s.Save(name(3), item) {
		t.Error("there is no room")
	}
}
