package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/cell"
	"mifvif/control"
	"mifvif/flow"
	"mifvif/owner"
	"mifvif/pvd"
	"mifvif/quota"
	"mifvif/relay"
)

// Bounds of commands that run at a time: each is a namespace, a device and a few
// threads.
const (
	maxCommands        = 24
	maxCommandsPerUser = 8
)

// graceful is how long a command has to end after it was told that its client or
// mifvif is gone.
const graceful = time.Second

// commands are those that run in a domain (mifvif exec), bounded. The zero commands
// is empty and ready; safe for concurrent use.
type commands struct {
	mu      sync.Mutex
	running [relay.Commands + 1]*command // by number
	last    int                          // the number given out last: none is used again soon
	perUser map[uint32]int
	turned  atomic.Uint64 // away
}

// command is one of them.
type command struct {
	number byte
	uid    uint32
	domain string
	cell   *cell.Cell // nil until it is open; guarded by commands.mu
}

// errCommands says that there are too many.
var errCommands = errors.New("there are enough commands running in domains (end some)")

// take returns a place for a user's command.
func (c *commands) take(uid uint32, domain string) (*command, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, n := range c.perUser {
		total += n
	}
	if total >= maxCommands || c.perUser[uid] >= maxCommandsPerUser {
		c.turned.Add(1)
		return nil, errCommands
	}
	if c.perUser == nil {
		c.perUser = make(map[uint32]int)
	}
	c.perUser[uid]++
	for {
		c.last = c.last%relay.Commands + 1
		if c.running[c.last] == nil {
			one := &command{number: byte(c.last), uid: uid, domain: domain}
			c.running[c.last] = one
			return one, nil
		}
	}
}

// leave gives a place back.
func (c *commands) leave(one *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[one.number] = nil
	if c.perUser[one.uid]--; c.perUser[one.uid] == 0 {
		delete(c.perUser, one.uid)
	}
}

// opened notes a command's cell, or that it is gone.
func (c *commands) opened(one *command, in *cell.Cell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one.cell = in
}

// holder says for whom the places are that a command's flows take: its user,
// whoever has their sockets.
func (c *commands) holder(number byte) quota.Holder {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(number) >= len(c.running) || c.running[number] == nil {
		return quota.Nobody()
	}
	return quota.User(c.running[number].uid)
}

// sockets returns whose sockets there are in a command's namespace, nil where that
// is not known.
func (c *commands) sockets(number byte) (t *owner.Table) {
	in := c.cellOf(number)
	if in == nil {
		return nil
	}
	err := in.Do(func() (err error) {
		t, err = owner.Read()
		return err
	})
	if err != nil {
		return nil
	}
	return t
}

// cellOf returns a command's cell, nil if it has none.
func (c *commands) cellOf(number byte) *cell.Cell {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(number) >= len(c.running) || c.running[number] == nil {
		return nil
	}
	return c.running[number].cell
}

// command implements control.CommandFunc. A domain that is there and cannot be used
// is no reason to refuse: what the command sends is refused until it can.
func (d *daemon) command(uid uint32, name string) (func(context.Context, *net.UnixConn), error) {
	if _, err := domainNamed(d.current.Load(), name); err != nil {
		return nil, err
	}
	if rule, barred := d.barred(uid, name); barred {
		return nil, control.Refused{Err: fmt.Errorf("refused by policy: rule %q keeps the command's flows off %s", rule, name)}
	}
	one, err := d.commands.take(uid, name)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn *net.UnixConn) {
		defer d.commands.leave(one)
		if conn == nil {
			return
		}
		word := d.conduct(ctx, one, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(graceful))
		_ = json.NewEncoder(conn).Encode(word) // the client has gone, if anything
	}, nil
}

// barred returns the rule that keeps everything a user's command sends off a domain.
func (d *daemon) barred(uid uint32, name string) (rule string, barred bool) {
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		rule, barred = d.scheduler.Bars(flow.Flow{
			Proto: flow.TCP, Src: netip.AddrPortFrom(any, 0), Dst: netip.AddrPortFrom(any, 0),
			Bound: name, Confined: true, Owner: flow.Owner{Known: true, UID: uid},
		})
		if !barred {
			return "", false
		}
	}
	return rule, true
}

// conduct runs one command from its namespace to its end, and returns the last Word.
func (d *daemon) conduct(ctx context.Context, one *command, conn *net.UnixConn) control.Word {
	room, err := d.openRoom(ctx, one)
	if err != nil {
		return control.Word{Error: err.Error()}
	}
	defer room.close()
	p, err := room.cell.Start(ctx, conn, stageCommand, resolvConf(d.config.Load().DNS.Listen, d.current.Load().ByName(one.domain)), commandMark())
	if err != nil {
		return control.Word{Error: err.Error()}
	}
	d.log.Debug("a command runs in a domain", "pvd", one.domain, "uid", one.uid, "pid", p.Pid())
	if err := json.NewEncoder(conn).Encode(control.Word{PID: p.Pid(), Warning: d.unready(one.domain)}); err != nil {
		d.log.Debug("a command's client has gone", "error", err)
	}
	hung := make(chan struct{}) // the client has gone
	go relaySignals(conn, p, one.uid, hung)
	defer func() { // or relaySignals stays
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		<-hung
	}()
	select {
	case <-p.Done():
		s := p.Status()
		return control.Word{Ended: true, Code: s.Code, Signal: int(s.Signal)}
	case <-hung:
		room.leave()
		end(ctx, p)
		return control.Word{Error: "the client has gone"}
	case <-ctx.Done():
		room.leave()
		end(ctx, p)
		return control.Word{Error: "mifvif has stopped, and the command with it"}
	}
}

// unready says in which state a domain is that carries nothing now.
func (d *daemon) unready(name string) string {
	p := d.current.Load().ByName(name)
	if p != nil && (p.Usable(false) || p.Usable(true)) {
		return ""
	}
	state := string(pvd.Offline)
	if p != nil {
		state = string(p.State)
	}
	return fmt.Sprintf("%s is %s: the command reaches nothing until it is online", name, state)
}

// commandMark is what is found of a command whose daemon was killed: the name of the
// mounts that it has, which the daemons of other network namespaces do not use.
func commandMark() string { return "mifvif-" + control.Cookie() }

// endLeft ends what the commands of a killed daemon have left, where the kernel
// tells network namespaces apart.
func endLeft(log *slog.Logger) {
	if control.Cookie() != "0" && !cell.EndLeft(commandMark()) {
		log.Warn("a process of a command that mifvif had run does not die")
	}
}

// end has a process end, the hard way if it does not. One that the kernel keeps
// (it hangs in a file system, or somebody traces it) keeps its place among the
// commands, but does not keep mifvif from ending.
func end(ctx context.Context, p *cell.Process) {
	_ = p.Press(unix.SIGHUP) // it may have ended by itself
	_ = p.Press(unix.SIGCONT)
	if ends(p) {
		return
	}
	_ = p.Press(unix.SIGKILL)
	select {
	case <-p.Done():
	case <-ctx.Done():
		ends(p)
	}
}

// ends reports whether a process ends soon.
func ends(p *cell.Process) bool {
	select {
	case <-p.Done():
		return true
	case <-time.After(graceful):
		return false
	}
}

// relaySignals sends a command the signals that its client sends, until that has
// gone.
func relaySignals(conn net.Conn, p *cell.Process, uid uint32, hung chan<- struct{}) {
	defer close(hung)
	var b [1]byte
	for {
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			return
		}
		switch s := syscall.Signal(b[0]); s { // the command may have ended, or be another's
		case unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGCONT, unix.SIGSTOP, unix.SIGWINCH:
			_ = p.Press(s)
		case unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2:
			_ = p.Signal(uid, s)
		}
		time.Sleep(time.Millisecond) // a flood of them costs us little
	}
}

// resolvConf is what a command finds in /etc/resolv.conf: our resolver, and the
// search list of its domain.
func resolvConf(servers []netip.Addr, in *pvd.Domain) string {
	var b strings.Builder
	b.WriteString("# by mifvif exec: names are asked in the command's own domain\n")
	for _, a := range servers {
		fmt.Fprintln(&b, "nameserver", a)
	}
	if in != nil && len(in.Search) > 0 {
		fmt.Fprintln(&b, "search", strings.Join(names(in.Search), " "))
	}
	return b.String()
}
