package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"mifvif/control"
)

// pretend serves what a daemon would at a socket, until it is stopped.
func pretend(t *testing.T, path string) (stop func()) {
	t.Helper()
	look := topLooks()[0]
	server, err := control.Listen(path, "", control.Handlers{
		Status: func() control.Status { return look.status },
		Flows:  func() []control.Flow { return look.flows },
		Explain: func(q control.Question) (control.Explanation, error) {
			return control.Explanation{Flow: control.FlowKey{ID: q.Target}, Refusal: "the reason of " + q.Target}, nil
		},
	}, slog.New(slog.DiscardHandler))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { must(t, server.Run(ctx)) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// before starts top on a person's terminal. The race detector's exit code is not
// top's: at the end bubbletea closes what its reader still reads.
func (p *person) before(path string, env ...string) *exec.Cmd {
	p.s.t.Helper()
	binary, err := exec.LookPath("mifvif") // by testscript.Main
	must(p.s.t, err)
	cmd := exec.Command(binary, "top", "--socket", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.tty, p.tty, p.tty
	cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=", "GORACE=exitcode=0"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(p.s.t, cmd.Start())
	p.s.t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return cmd
}

// leaves waits for the end of a command and wants its exit code, and the terminal as
// before: its settings, the usual screen and the cursor.
func (p *person) leaves(cmd *exec.Cmd, settings unix.Termios, want int) {
	p.s.t.Helper()
	_ = cmd.Wait() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != want {
		p.s.t.Errorf("exit %d, want %d", got, want)
	}
	p.restored(settings)
}

// restored wants the terminal as before.
func (p *person) restored(settings unix.Termios) {
	p.s.t.Helper()
	p.sees("\x1b[?1049l")
	p.sees("\x1b[?25h")
	if now := p.settings(); now != settings {
		p.s.t.Errorf("the terminal's settings are %+v, want %+v", now, settings)
	}
}

// TestTopOnATerminal: it fills the screen, follows its size, explains a flow, outlives
// the daemon and finds the next one.
func TestTopOnATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	stop := pretend(t, path)
	p := (&site{t: t}).sit()
	p.resizes(24, 80)
	before := p.settings()
	cmd := p.before(path)
	p.sees("\x1b[?1049h")
	p.sees("www.example.com:443")
	p.types("\r")
	p.sees("the reason of t3")
	p.types("\x1b")
	p.sees("enter why")
	stop()
	p.sees("no answer since")
	p.resizes(10, 200)
	p.sees("mifvif is not running")
	p.forgets()
	pretend(t, path)
	for width := uint16(100); width < 200 && !p.has("the link has no carrier"); width++ { // each draws all of the screen
		p.resizes(10, width)
		time.Sleep(100 * time.Millisecond)
	}
	p.sees("the link has no carrier")
	p.types("q")
	p.leaves(cmd, before, exitDone)
}

// TestTopLeavesTheTerminalAsItWas, by whatever it ends.
func TestTopLeavesTheTerminalAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	pretend(t, path)
	for name, end := range map[string]func(p *person, cmd *exec.Cmd){
		"q":       func(p *person, _ *exec.Cmd) { p.types("q") },
		"ctrl-c":  func(p *person, _ *exec.Cmd) { p.types("\x03") },
		"esc":     func(p *person, _ *exec.Cmd) { p.types("\x1b") },
		"SIGTERM": func(_ *person, cmd *exec.Cmd) { must(t, cmd.Process.Signal(unix.SIGTERM)) },
		"SIGINT":  func(_ *person, cmd *exec.Cmd) { must(t, cmd.Process.Signal(unix.SIGINT)) },
		"SIGHUP":  func(_ *person, cmd *exec.Cmd) { must(t, cmd.Process.Signal(unix.SIGHUP)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := (&site{t: t}).sit()
			p.resizes(24, 80)
			before := p.settings()
			cmd := p.before(path)
			p.sees("www.example.com:443")
			end(p, cmd)
			p.leaves(cmd, before, exitDone)
		})
	}
}

// panicking is a model with a fault in it.
type panicking struct{ *top }

func (panicking) Update(tea.Msg) (tea.Model, tea.Cmd) { panic("a fault") }

// TestTopLeavesTheTerminalAfterAPanic, which is an error.
func TestTopLeavesTheTerminalAfterAPanic(t *testing.T) {
	if info, _ := debug.ReadBuildInfo(); slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("after a panic bubbletea closes what its reader still reads")
	}
	p := (&site{t: t}).sit()
	p.resizes(24, 80)
	before := p.settings()
	if err := onScreen(t.Context(), panicking{&top{}}, p.tty, p.tty); !errors.Is(err, tea.ErrProgramPanic) {
		t.Errorf("a panic is %v", err)
	}
	if now := p.settings(); now != before {
		t.Errorf("the terminal's settings are %+v, want %+v", now, before)
	}
}

// TestTopHasColoursUnlessTheyAreNotWanted (no-color.org).
func TestTopHasColoursUnlessTheyAreNotWanted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	pretend(t, path)
	for env, want := range map[string]bool{"NO_COLOR=": true, "NO_COLOR=1": false, "NO_COLOR=yes": false} {
		p := (&site{t: t}).sit()
		p.resizes(24, 80)
		before := p.settings()
		cmd := p.before(path, env)
		p.sees("www.example.com:443")
		p.types("q")
		p.leaves(cmd, before, exitDone)
		if got := p.has("\x1b[31m"); got != want {
			t.Errorf("with %s colours are seen: %v, want %v", env, got, want)
		}
	}
}

// TestTopWantsATerminalAndADaemon.
func TestTopWantsATerminalAndADaemon(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.sock")
	p := (&site{t: t}).sit()
	before := p.settings()
	cmd := p.before(none)
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitNotRunning {
		t.Errorf("without a daemon: exit %d, want %d", got, exitNotRunning)
	}
	p.sees("mifvif is not running (start it with: mifvif run)")
	if now := p.settings(); now != before {
		t.Error("the terminal has changed")
	}
	if p.has("\x1b[?1049h") {
		t.Error("the screen was taken without a daemon")
	}
	dumb := p.before(none, "TERM=dumb")
	_ = dumb.Wait()
	if got := dumb.ProcessState.ExitCode(); got != exitUsage {
		t.Errorf("on a terminal without screen: exit %d, want %d", got, exitUsage)
	}
	binary, err := exec.LookPath("mifvif")
	must(t, err)
	out, err := exec.Command(binary, "top", "--socket", none).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitUsage || string(out) != "mifvif: "+errNoScreen.Error()+"\n" {
		t.Errorf("without a terminal: %v, %s", err, out)
	}
}
