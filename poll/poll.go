// Package poll tells which of many sockets have something to read, with one
// goroutine for all of them: an idle socket costs a place in a table and no
// stack. It must not know what the sockets are for.
package poll

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Handler is called when a socket has something new: bytes, its end, or an
// error. It must not block. It returns true when it has left something and wants
// to be called again after the others.
type Handler interface {
	Ready() (more bool)
}

// Token names a watched socket. The zero Token names none.
type Token uint64

// Poller watches sockets. Make one with New, start it with Run; Add and Remove
// are safe for concurrent use, also from a Handler.
type Poller struct {
	file *os.File // the epoll instance, itself in the runtime's poller
	raw  syscall.RawConn

	mu       sync.RWMutex
	handlers map[Token]Handler
	next     Token

	pacer   pacer // of Run
	calling Token // of Run: whose Handler is called
	stopped atomic.Bool
	events  [128]unix.EpollEvent // of Run
	left    []Token              // of Run: who wants to be called again
	again   []Token              // of Run: the same while it is worked off
}

// New allocates a Poller. One that is never run must be closed.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // what tells package os to poll it
		unix.Close(fd)
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	p := &Poller{file: os.NewFile(uintptr(fd), "epoll"), handlers: make(map[Token]Handler)}
	p.pacer = pacer{poller: p, timer: -1, paced: make(map[Token]struct{})}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	return p, nil
}

// Add watches fd for h until Remove or the end of fd. What is there already is
// new, too.
func (p *Poller) Add(fd int, h Handler) (Token, error) { return p.add(fd, h, always) }

// AddOnce is Add for one call of h. Again asks for the next.
func (p *Poller) AddOnce(fd int, h Handler) (Token, error) { return p.add(fd, h, once) }

// Again has the Handler that fd was given to AddOnce with called once more.
func (p *Poller) Again(fd int, t Token) error { return p.control(unix.EPOLL_CTL_MOD, fd, t, once) }

// What epoll is asked for: edges, so that what a Handler leaves is not told
// again, for ever or once.
const (
	always = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET
	once   = always | unix.EPOLLONESHOT
)

func (p *Poller) add(fd int, h Handler, events uint32) (Token, error) {
	p.mu.Lock()
	p.next++
	t := p.next
	p.handlers[t] = h
	p.mu.Unlock()
	if err := p.control(unix.EPOLL_CTL_ADD, fd, t, events); err != nil {
		p.Remove(t)
		return 0, err
	}
	return t, nil
}

func (p *Poller) control(op, fd int, t Token, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(t), Pad: int32(t >> 32)}
	var err error
	if cerr := p.raw.Control(func(epoll uintptr) { err = unix.EpollCtl(int(epoll), op, fd, &event) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// Remove forgets a socket; the kernel does when its descriptor is closed. A
// call of its Handler may be under way.
func (p *Poller) Remove(t Token) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handlers, t)
}

// Watched returns how many sockets there are.
func (p *Poller) Watched() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.handlers)
}

// Run calls handlers until ctx ends, and closes the Poller.
func (p *Poller) Run(ctx context.Context) {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		p.Close()
	})
	_ = p.raw.Read(p.work) // ends with Close
	p.pacer.close()
	if !stop() {
		<-closed
	}
}

// Close ends Run.
func (p *Poller) Close() {
	p.stopped.Store(true)
	_ = p.file.Close() // a second time changes nothing
}

// Yield lets others have the processor: goroutines that wait for one, and the
// threads of other processes that were woken on it. Under load they drain what
// they got before it overflows, and meanwhile more comes together for us, which
// costs less a piece. It costs next to nothing when nobody waits.
func Yield() {
	runtime.Gosched()
	_, _, _ = syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}

// work handles what there is; false means "wait for more". After each round
// others get the processor: what handlers have woken is to run. A first round
// may be all there is, and yields to goroutines only.
func (p *Poller) work(epoll uintptr) bool {
	for rounds := 0; !p.stopped.Load(); rounds++ {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
		if errno != 0 {
			n = 0 // EINTR
		}
		if n == 0 && len(p.left) == 0 {
			return errno != 0 && errno != unix.EINTR
		}
		p.again, p.left = p.left, p.again[:0]
		for _, e := range p.events[:n] {
			p.call(Token(uint32(e.Fd)) | Token(uint32(e.Pad))<<32)
		}
		for _, t := range p.again {
			p.call(t)
		}
		if rounds == 0 {
			runtime.Gosched()
		} else {
			Yield()
		}
	}
	return true
}

// call has the Handler of t look; false means that there is none.
func (p *Poller) call(t Token) bool {
	p.mu.RLock()
	h := p.handlers[t]
	p.mu.RUnlock()
	p.calling = t
	if h != nil && h.Ready() {
		p.left = append(p.left, t)
	}
	return h != nil
}
