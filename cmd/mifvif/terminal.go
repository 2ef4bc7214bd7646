package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/control"
)

// standard are the files that a command gets for its own. Where a person sits at
// the terminal the command gets one of its own (pty(7)), since nobody but the
// terminal's session may have that one, and what passes is copied.
type standard struct {
	fds   [3]int
	pty   *os.File // our end, nil where there is no terminal of the command's own
	slave *os.File // the command's
	null  *os.File
	saved *unix.Termios // of the person's terminal, nil while that is as it was
	drawn chan struct{} // closed when all the command wrote has been copied
}

// isTerminal reports whether a descriptor is a terminal's.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// openFiles returns the files for a command. In the background it must not read
// from the terminal: it would take what is typed for others.
func openFiles() (*standard, error) {
	s := &standard{fds: [3]int{0, 1, 2}}
	if !isTerminal(0) {
		return s, nil
	}
	if front, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err != nil || front != unix.Getpgrp() {
		if s.null, err = os.Open(os.DevNull); err != nil {
			return nil, fmt.Errorf("open the command's input: %w", err)
		}
		s.fds[0] = int(s.null.Fd())
		return s, nil
	}
	if !isTerminal(1) {
		return s, nil
	}
	if err := s.openPTY(); err != nil {
		s.close()
		return nil, fmt.Errorf("open a terminal for the command: %w", err)
	}
	return s, nil
}

// openPTY makes a terminal like the person's, and that one raw.
func (s *standard) openPTY() error {
	now, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read the terminal's settings: %w", err)
	}
	if s.pty, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return err //nolint:wrapcheck // says what
	}
	master := int(s.pty.Fd())
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock it: %w", err)
	}
	number, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("find its name: %w", err)
	}
	if s.slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return err //nolint:wrapcheck // says what
	}
	slave := int(s.slave.Fd())
	if err := unix.IoctlSetTermios(slave, unix.TCSETS, now); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	s.resize()
	for i := range s.fds {
		if isTerminal(i) {
			s.fds[i] = slave
		}
	}
	raw := *now // cfmakeraw(3)
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(0, unix.TCSETSW, &raw); err != nil {
		return fmt.Errorf("make the terminal raw: %w", err)
	}
	s.saved = now
	return nil
}

// resize makes the command's terminal as large as the person's.
func (s *standard) resize() {
	if size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		_ = unix.IoctlSetWinsize(int(s.pty.Fd()), unix.TIOCSWINSZ, size) // it keeps its size
	}
}

// close puts the terminal back.
func (s *standard) close() {
	if s.saved != nil {
		_ = unix.IoctlSetTermios(0, unix.TCSETSW, s.saved) // it may have hung up
	}
	for _, f := range []*os.File{s.pty, s.slave, s.null} {
		if f != nil {
			f.Close()
		}
	}
}

// attend copies and hands on signals until the command has ended, and returns how.
func (s *standard) attend(c *control.Command, signals <-chan os.Signal) error {
	if s.pty != nil {
		s.slave.Close() // the command has it now: when that ends, so does what is read from pty
		s.drawn = make(chan struct{})
		go s.draw()
		go func() { _, _ = io.Copy(s.pty, os.Stdin) }() // ends with the process
	}
	last := make(chan error, 1)
	go func() {
		w, err := c.Hear()
		if err == nil {
			err = ending(w)
		}
		last <- err
	}()
	for {
		select {
		case err := <-last:
			s.drain()
			return err
		case one := <-signals:
			s.pass(c, one.(syscall.Signal))
		}
	}
}

// draw copies what the command writes to its terminal.
func (s *standard) draw() {
	defer close(s.drawn)
	_, _ = io.Copy(os.Stdout, s.pty) // ends in EIO when nobody has the terminal any more
}

// drain waits for the last of what the command wrote.
func (s *standard) drain() {
	if s.pty == nil {
		return
	}
	select {
	case <-s.drawn:
	case <-time.After(time.Second): // somebody else has got the terminal
	}
}

// ending is a command's end as an error, nil for the orderly one.
func ending(w control.Word) error {
	switch {
	case w.Error != "":
		return errors.New(w.Error)
	case w.Signal != 0:
		return exitStatus(signalled + w.Signal)
	case w.Code != 0:
		return exitStatus(w.Code)
	}
	return nil
}

// pass hands a signal on. The daemon may be gone, which is heard elsewhere.
func (s *standard) pass(c *control.Command, one syscall.Signal) {
	switch {
	case one == unix.SIGWINCH && s.pty != nil:
		s.resize()
	case one == unix.SIGTSTP: // a command of another session is not stopped by it
		_, _ = c.Conn.Write([]byte{byte(unix.SIGSTOP)})
		_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	default:
		_, _ = c.Conn.Write([]byte{byte(one)})
	}
}
