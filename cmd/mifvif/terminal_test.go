package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/lab"
)

// person sits at a terminal.
type person struct {
	s    *site
	fd   int // of pty
	pty  *os.File
	tty  *os.File
	mu   sync.Mutex
	seen bytes.Buffer
}

// sit opens a terminal.
func (s *site) sit() *person {
	s.t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) // so that Close ends Read
	must(s.t, err)
	pty := os.NewFile(uintptr(fd), "/dev/ptmx")
	must(s.t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(s.t, err)
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(s.t, err)
	p := &person{s: s, fd: fd, pty: pty, tty: tty}
	go p.look() // ends with the terminal
	s.t.Cleanup(func() { tty.Close(); pty.Close() })
	return p
}

func (p *person) look() {
	b := make([]byte, 4096)
	for {
		n, err := p.pty.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.seen.Write(b[:n])
		p.mu.Unlock()
	}
}

// sees waits until a text is on the terminal.
func (p *person) sees(text string) {
	p.s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !p.has(text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.s.t.Fatalf("the person waits in vain for %q and sees\n%s", text, p.seen.String())
		}
	}
}

// insists types a text, patiently, until another is on the terminal.
func (p *person) insists(typed, seen string) {
	p.s.t.Helper()
	for range 20 {
		p.types(typed)
		for range 25 {
			if p.has(seen) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	p.sees(seen)
}

func (p *person) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.seen.String(), text)
}

// forgets what was on the terminal.
func (p *person) forgets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.Reset()
}

func (p *person) types(text string) {
	p.s.t.Helper()
	_, err := p.pty.WriteString(text)
	must(p.s.t, err)
}

func (p *person) resizes(rows, columns uint16) {
	p.s.t.Helper()
	must(p.s.t, unix.IoctlSetWinsize(p.fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}))
}

// starts runs a command of mifvif as the terminal's own.
func (p *person) starts(args ...string) *lab.Process {
	p.s.t.Helper()
	cmd := p.s.command(append([]string{p.s.binary}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.tty, p.tty, p.tty
	cmd.Env = append(cmd.Env, "PS1=ready> ")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	process, err := p.s.Host.Start(cmd)
	must(p.s.t, err)
	return process
}

func (p *person) settings() unix.Termios {
	p.s.t.Helper()
	now, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	must(p.s.t, err)
	return *now
}

// TestCommandHasATerminal: with job control, size and interrupts, and the person's
// own is as before when it ends.
func TestCommandHasATerminal(t *testing.T) {
	s := newSite(t, byRule)
	p := s.sit()
	p.resizes(33, 101)
	before := p.settings()
	process := p.starts("exec", "--pvd", "e2", "--", "bash", "--norc", "--noprofile", "-i")
	p.sees("ready> ")
	p.types("stty size\r")
	p.sees("33 101")
	p.types("echo monitor$-\r")
	p.sees("monitorhimBH") // m: job control
	p.types("sh -c 'echo asleep $((1+1)); exec sleep 1000'\r")
	p.sees("asleep 2")
	p.types("\x1a")
	p.sees("Stopped")
	p.types("kill -9 %1; wait; echo gone $((1+2))\r")
	p.sees("gone 3")
	p.types("sh -c 'echo again $((2+2)); exec sleep 1000'\r")
	p.sees("again 4")
	p.types("\x03")
	p.insists("\recho interrupted $((2+3))\r", "interrupted 5")
	p.resizes(44, 55)
	p.insists("stty size\r", "44 55")
	p.types("echo own-$(tty </dev/tty)\r")
	p.sees("own-/dev/tty")
	p.types("exit 6\r")
	if code := exitCode(t, process); code != 6 {
		t.Errorf("the client exits with %d, want 6", code)
	}
	if after := p.settings(); after != before {
		t.Errorf("the terminal's settings are %+v, want %+v", after, before)
	}
}

// TestHungUpTerminalEndsTheCommand: nobody is there any more.
func TestHungUpTerminalEndsTheCommand(t *testing.T) {
	s := newSite(t, byRule)
	p := s.sit()
	process := p.starts("exec", "--pvd", "e2", "--", "sh", "-c", "echo ns=$(readlink /proc/self/ns/net)=; sleep 1000")
	p.sees("]=")
	_, rest, _ := strings.Cut(p.seen.String(), "ns=")
	space, _, _ := strings.Cut(rest, "=")
	p.tty.Close()
	p.pty.Close()
	<-process.Done()
	s.eventually("the command's namespace is empty", func() bool { return len(lab.Holders([]string{space})) == 0 })
}
