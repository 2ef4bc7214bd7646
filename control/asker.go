package control

import (
	"context"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// errNobody says that the kernel does not tell who asks.
var errNobody = errors.New("the control socket does not say who you are")

// askerKey is where withAsker keeps its answer.
type askerKey struct{}

// withAsker notes which user is at the other end of a connection (unix(7):
// SO_PEERCRED).
func withAsker(ctx context.Context, c net.Conn) context.Context {
	sc, ok := plain(c).(syscall.Conn)
	if !ok {
		return ctx
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil || err != nil {
		return ctx
	}
	return context.WithValue(ctx, askerKey{}, peer.Uid)
}

// asker returns the user who asks.
func asker(ctx context.Context) (uint32, bool) {
	uid, ok := ctx.Value(askerKey{}).(uint32)
	return uid, ok
}
