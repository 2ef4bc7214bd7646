package uplinks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mifvif/uplinks"
)

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
	first, err := uplinks.OpenUndoLog(file)
	must(t, err)
	must(t, first.Record(path, "0", "1"))
	must(t, os.WriteFile(path, []byte("1"), 0o600)) // and then the daemon is killed

	second, err := uplinks.OpenUndoLog(file)
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
	log, err := uplinks.OpenUndoLog(filepath.Join(t.TempDir(), "undo"))
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

func TestRecordThatCannotBeReadIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "undo")
	must(t, os.WriteFile(file, []byte(`{"/proc/sys`), 0o600))
	if _, err := uplinks.OpenUndoLog(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v, want one that names the file", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error("the record is gone")
	}
}

func TestRecordThatCannotBeWrittenSaysSoEveryTime(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "state")
	log, err := uplinks.OpenUndoLog(filepath.Join(blocked, "undo"))
	must(t, err)
	must(t, os.WriteFile(blocked, nil, 0o600)) // a file where the directory should be
	for range 2 {
		if err := log.Record("/proc/sys/x", "0", "1"); err == nil {
			t.Error("a change was noted nowhere")
		}
	}
}
