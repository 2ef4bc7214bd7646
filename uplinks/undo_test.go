package uplinks_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mifvif/lab"
	"mifvif/uplinks"
)

func openUndoLog(path string) (*uplinks.UndoLog, error) {
	return uplinks.OpenUndoLog(path, slog.New(slog.DiscardHandler))
}

// setting makes a file that stands for a sysctl.
func setting(t *testing.T, value string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "setting")
	must(t, os.WriteFile(path, []byte(value+"\n"), 0o600))
	return path
}

func value(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return strings.TrimSpace(string(b))
}

func TestRecordIsOnDiskAndOutlivesItsWriter(t *testing.T) {
	path := setting(t, "0")
	file := filepath.Join(t.TempDir(), "state", "undo")
	first, err := openUndoLog(file)
	must(t, err)
	must(t, first.Record(path, "0", "1"))
	must(t, os.WriteFile(path, []byte("1"), 0o600)) // and then the daemon is killed

	second, err := openUndoLog(file)
	must(t, err)
	must(t, second.Record(path, "1", "2")) // the first value noted is the host's own
	must(t, os.WriteFile(path, []byte("2"), 0o600))
	must(t, second.Restore())
	if got := value(t, path); got != "0" {
		t.Errorf("restored to %s, want 0", got)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the record is left: %v", err)
	}
}

func TestRestoreLeavesWhatSomebodyElseSet(t *testing.T) {
	path := setting(t, "0")
	log, err := openUndoLog(filepath.Join(t.TempDir(), "undo"))
	must(t, err)
	must(t, log.Record(path, "0", "1"))
	must(t, os.WriteFile(path, []byte("7"), 0o600))
	gone := filepath.Join(t.TempDir(), "gone")
	must(t, log.Record(gone, "0", "1"))
	must(t, log.Restore())
	if got := value(t, path); got != "7" {
		t.Errorf("the admin's 7 became %s", got)
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Error("a setting that was gone was made")
	}
}

// TestRecordThatCannotBeReadIsSetAside: the daemon comes up, and what was known of
// the host's settings is not lost.
func TestRecordThatCannotBeReadIsSetAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "undo")
	const broken = `{"/proc/sys`
	must(t, os.WriteFile(file, []byte(broken), 0o600))
	var said bytes.Buffer
	log, err := uplinks.OpenUndoLog(file, slog.New(slog.NewTextHandler(&said, nil)))
	must(t, err)
	if b, err := os.ReadFile(file + ".broken"); err != nil || string(b) != broken {
		t.Errorf("kept %q, %v", b, err)
	}
	if !strings.Contains(said.String(), file+".broken") {
		t.Errorf("said %q, want where the record is", said.String())
	}
	path := setting(t, "0")
	must(t, log.Record(path, "0", "1"))
	must(t, os.WriteFile(path, []byte("1"), 0o600))
	must(t, log.Restore())
	if got := value(t, path); got != "0" {
		t.Errorf("restored to %s, want 0", got)
	}
}

// TestARenamedUplinkIsPutBack: under the name that it has then, and another
// interface that got its old name keeps what is its own.
func TestARenamedUplinkIsPutBack(t *testing.T) {
	b := newBench(t, lab.TwoNetworks())
	read := func(name string) string {
		t.Helper()
		v, err := b.Host.Sysctl("net/ipv4/conf/" + name + "/arp_ignore")
		must(t, err)
		return v
	}
	before := read("e1")
	b.apply()
	if read("e1") == before {
		t.Fatal("nothing was changed that could be put back")
	}
	rename := func(from, to string) {
		t.Helper()
		link, err := b.Host.Netlink().LinkByName(from)
		must(t, err)
		must(t, b.Host.Netlink().LinkSetName(link, to))
	}
	rename("e1", "wan0")
	rename("e2", "e1")
	must(t, b.Host.SetSysctl("net/ipv4/conf/e1/arp_ignore", before))
	b.apply()
	if read("e1") == before {
		t.Fatal("the other interface was not set")
	}
	must(t, b.Host.Do(b.set.Remove))
	for _, name := range []string{"wan0", "e1"} {
		if got := read(name); got != before {
			t.Errorf("arp_ignore of %s is %s, was %s", name, got, before)
		}
	}
}

func TestRecordThatCannotBeWrittenSaysSoEveryTime(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "state")
	log, err := openUndoLog(filepath.Join(blocked, "undo"))
	must(t, err)
	must(t, os.WriteFile(blocked, nil, 0o600)) // a file where the directory should be
	for range 2 {
		if err := log.Record("/proc/sys/x", "0", "1"); err == nil {
			t.Error("a change was noted nowhere")
		}
	}
}
