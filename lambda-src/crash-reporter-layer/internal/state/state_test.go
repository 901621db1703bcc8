package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Unix(1_800_000_000, 0)

var limits = Limits{PerMinute: 10, Window: time.Minute}

func TestTheLedgerSurvivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a"}, now); !d.Send {
		t.Fatal("the first crash is held back")
	}
	if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a"}, now.Add(59*time.Second)); d.Send {
		t.Error("the same crash is sent again within a minute")
	}
	d := OpenLedger(dir, limits, now.Add(time.Minute)).Admit(Crash{Fingerprint: "a"}, now.Add(61*time.Second))
	if !d.Send || d.Suppressed != 1 {
		t.Errorf("after a minute: %+v", d)
	}
}

func TestTheSecondInitializationIsTheSameCrashOnce(t *testing.T) {
	dir := t.TempDir()
	first := OpenLedger(dir, limits, now)
	first.Admit(Crash{Fingerprint: "a", Init: true}, now)
	if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "other", Init: true, InitRetry: true}, now.Add(2*time.Minute)); d.Send {
		t.Error("the second process reported the crash again")
	}
	if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "other", Init: true, InitRetry: true}, now.Add(3*time.Minute)); !d.Send {
		t.Error("a later crash is held back")
	}
}

func TestAnInitializationThatFailsLaterIsAnotherCrash(t *testing.T) {
	dir := t.TempDir()
	OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a", Init: true}, now)
	OpenLedger(dir, limits, now) // started well
	if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "other", Init: true, InitRetry: true}, now.Add(2*time.Minute)); !d.Send {
		t.Error("it is taken for the crash of two processes ago")
	}
	dir = t.TempDir()
	OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a", Init: true}, now)
	if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "other", Init: true, InitRetry: true}, now.Add(16*time.Minute)); !d.Send {
		t.Error("it is taken for a crash of a quarter of an hour ago: an invocation takes no longer")
	}
}

func TestABrokenOrHostileLedgerIsReplaced(t *testing.T) {
	for name, content := range map[string]string{"junk": "{{{", "future": `{"fingerprints":{"a":{"last":99999999999999}},"limitedUntil":99999999999999,"refilled":99999999999999}`, "huge": strings.Repeat(" ", maxLedger+1)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "ledger.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if d := OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a"}, now); !d.Send {
			t.Errorf("%s: the crash is held back", name)
		}
	}
}

func TestALinkInPlaceOfTheLedgerIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ledger.json", "ledger.json.tmp"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	OpenLedger(dir, limits, now).Admit(Crash{Fingerprint: "a"}, now)
	if raw, _ := os.ReadFile(target); string(raw) != "keep" {
		t.Errorf("the target holds %q", raw)
	}
}

func TestTheLedgerStaysSmall(t *testing.T) {
	dir := t.TempDir()
	l := OpenLedger(dir, limits, now)
	for i := 0; i < 500; i++ {
		l.Admit(Crash{Fingerprint: strings.Repeat("f", i)}, now.Add(time.Duration(i)*time.Minute))
	}
	if n := len(l.data.Fingerprints); n != 64 {
		t.Errorf("%d fingerprints", n)
	}
}

const id = "0123456789abcdef0123456789abcdef"

func TestSpoolKeepsWhatIsYoungAndValid(t *testing.T) {
	dir := t.TempDir()
	s := OpenSpool(dir)
	if !s.Save(id, []byte(`{"a":1}`)) || s.Save("../../etc/passwd", []byte(`{}`)) || s.Save(id, make([]byte, maxItem+1)) {
		t.Error("saved the wrong things")
	}
	bad := filepath.Join(dir, strings.Repeat("a", 32)+suffix)
	if err := os.WriteFile(bad, []byte("no json"), 0o600); err != nil {
		t.Fatal(err)
	}
	items, dropped := OpenSpool(dir).Leftovers(time.Now())
	if dropped != 1 || len(items) != 1 || items[0].ID != id || string(items[0].Payload) != `{"a":1}` {
		t.Errorf("leftovers %v", items)
	}
	if _, err := os.Stat(bad); err == nil {
		t.Error("the broken file is still there")
	}
	if items, dropped := OpenSpool(dir).Leftovers(time.Now().Add(25 * time.Hour)); len(items) != 0 || dropped != 1 {
		t.Errorf("after a day %v", items)
	}
}

func TestSpoolIsBounded(t *testing.T) {
	s := OpenSpool(t.TempDir())
	saved := 0
	for i := 0; i < 16; i++ {
		if s.Save(strings.Repeat("0", 31)+string("0123456789abcdef"[i]), make([]byte, 64<<10)) {
			saved++
		}
	}
	if saved != 4 {
		t.Errorf("saved %d files of 64 KB", saved)
	}
}
