package poll

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pause lies between two calls of a paced Handler. At 150,000 datagrams a second
// it brings fifteen together, and delays none by more.
const Pause = 100 * time.Microsecond

// maxPaced bounds the Handlers that are called every Pause.
const maxPaced = 64

// pacer calls some Handlers every Pause, by a timer that the Poller watches
// like a socket: the runtime's own timers are a millisecond coarse. It belongs to
// the goroutine of Run.
type pacer struct {
	poller *Poller
	timer  int // a timerfd, -1 until it is first needed
	paced  map[Token]struct{}
}

// Pace has the Handler that is being called, and calls it, called every Pause,
// whether something came or not, instead of each time that something comes to
// its socket fd: who sends then wakes nobody, and what comes is taken together, as
// a network card moderates its interrupts. Rouse ends it. It returns false, and
// nothing changes, where no more can be paced.
func (p *Poller) Pace(fd int) bool {
	c, t := &p.pacer, p.calling
	if len(c.paced) >= maxPaced || c.open() != nil || p.control(unix.EPOLL_CTL_MOD, fd, t, 0) != nil { // errors are told all the same
		return false
	}
	c.paced[t] = struct{}{}
	if len(c.paced) == 1 {
		c.set()
	}
	return true
}

// Rouse ends Pace: the Handler is called when something comes, what is there
// already included. Only the Handler itself may call it, while it is called.
func (p *Poller) Rouse(fd int) {
	delete(p.pacer.paced, p.calling)
	_ = p.control(unix.EPOLL_CTL_MOD, fd, p.calling, always) // fails where the socket is gone
}

// Ready implements Handler for the timer, which is set anew each time: others
// have the processor for a Pause, however long the calls take.
func (c *pacer) Ready() bool {
	for t := range c.paced {
		if !c.poller.call(t) {
			delete(c.paced, t) // was removed
		}
	}
	if len(c.paced) > 0 {
		c.set()
	}
	return false
}

func (c *pacer) open() error {
	if c.timer >= 0 {
		return nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("make a timer: %w", err)
	}
	if _, err := c.poller.Add(fd, c); err != nil {
		unix.Close(fd)
		return err
	}
	c.timer = fd
	return nil
}

// set has the timer run out in a Pause, once.
func (c *pacer) set() {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(Pause))}
	_, _, _ = syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(c.timer), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
}

// close ends the timer.
func (c *pacer) close() {
	if c.timer >= 0 {
		unix.Close(c.timer)
		c.timer = -1
	}
}
