package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mifvif/lab/labtest"
)

// The unit calls mifvif with words of its own, which no compiler looks at.
func TestTheUnitSaysWhatMifvifKnows(t *testing.T) {
	calls := 0
	for key, value := range unit(t) {
		words := strings.Fields(value)
		if !strings.HasPrefix(key, "Exec") || len(words) == 0 {
			continue
		}
		calls++
		if words[0] != "@bindir@/mifvif" {
			t.Errorf("%s calls %s", key, words[0])
		}
		cmd, args, err := rootCommand().Find(words[1:])
		if err != nil || !cmd.Runnable() {
			t.Errorf("%s=%s: %v", key, value, err)
			continue
		}
		if err := cmd.ParseFlags(args); err != nil {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls, want those of start, reload and after the stop", calls)
	}
}

// TestTheUnitBindsNoCommands: what systemd takes from a service's process, from
// NoNewPrivileges to filters of system calls, it takes from commands of exec, too.
func TestTheUnitBindsNoCommands(t *testing.T) {
	harmless := []string{
		"Description", "After", "Before", "WantedBy", "Type", "NotifyAccess", "ExecStart", "ExecReload", "ExecStopPost",
		"Restart", "RestartSec", "RestartPreventExitStatus", "TimeoutStopSec",
		"OOMScoreAdjust", // a command gets that of who asks for it (cell)
	}
	for key := range unit(t) {
		if !strings.HasPrefix(key, "#") && !slices.Contains(harmless, key) {
			t.Errorf("%s is not known to leave commands alone", key)
		}
	}
}

func TestSystemdTakesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		labtest.Missing(t, "systemd-analyze is not installed")
	}
	text, err := os.ReadFile("mifvif.service")
	labtest.Must(t, err)
	self, err := os.Executable() // stands for mifvif, which need not be built
	labtest.Must(t, err)
	path := filepath.Join(t.TempDir(), "mifvif.service")
	labtest.Must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "@bindir@/mifvif", self)), 0o600))
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "mifvif.service:") {
		t.Errorf("%v: %s", err, out)
	}
}

// unit returns the assignments of the unit.
func unit(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open("mifvif.service")
	labtest.Must(t, err)
	defer file.Close()
	all := make(map[string]string)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok {
			all[key] = value
		}
	}
	return all
}
