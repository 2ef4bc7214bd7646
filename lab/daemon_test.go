package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mifvif/lab"
)

// script writes a stand-in for the daemon.
func script(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mifvif")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDaemonIsReadyWhenItSaysSoAndStopsInOrder(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	binary := script(t,
		`if [ "$1" = status ]; then cat /run/mifvif.yaml; exit 3; fi`,
		`trap 'exit 0' TERM`, `echo "$@"`, `echo mifvif: ready`, `while :; do sleep 0.05; done`)
	d, err := c.Host.StartDaemon(t.Context(), binary, "rules: []\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "run --socket /run/mifvif/control.sock --state /run/mifvif -c /run/mifvif.yaml"; !strings.Contains(d.Log(), want) {
		t.Errorf("it was started with %q, want %q", d.Log(), want)
	}
	if exit, err := d.CLI(t.Context(), "status"); err != nil || exit.Code != 3 || exit.Stdout != "rules: []\n" {
		t.Errorf("status: %v, %v", exit, err)
	}
	if rss, err := d.RSS(); err != nil || rss <= 0 {
		t.Errorf("RSS %d, %v", rss, err)
	}
	if files, err := d.Files(); err != nil || files <= 0 {
		t.Errorf("%d files, %v", files, err)
	}
	if err := d.Stop(t.Context()); err != nil || d.Alive() {
		t.Errorf("stop: %v, alive %v", err, d.Alive())
	}
}

func TestDaemonThatFailsIsReportedWithItsWords(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	if _, err := c.Host.StartDaemon(t.Context(), script(t, "echo no tun here >&2", "exit 1"), ""); err == nil || !strings.Contains(err.Error(), "no tun here") {
		t.Errorf("got %v, want the daemon's words", err)
	}
	d, err := c.Host.StartDaemon(t.Context(), script(t, "echo mifvif: ready", "trap 'exit 5' TERM", "while :; do sleep 0.05; done"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(t.Context()); err == nil {
		t.Error("an exit with 5 was taken for an orderly stop")
	}
}
