// Package bus speaks to other managers of this host on the system message bus: it
// connects, and says who serves this network namespace. It must not know what they
// are asked.
package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/godbus/dbus/v5"
)

const name = "org.freedesktop.DBus"

// ErrElsewhere says that a service manages another network namespace: its
// interfaces are not ours.
var ErrElsewhere = errors.New("it serves another network namespace")

// Connect opens a bus, that of the system where address is "". The connection
// outlives ctx, which bounds only how long its beginning may take. The caller
// closes it.
func Connect(ctx context.Context, address string) (*dbus.Conn, error) {
	open := func() (*dbus.Conn, error) { return dbus.Dial(address) }
	if address == "" {
		open = func() (*dbus.Conn, error) { return dbus.SystemBusPrivate() }
	}
	conn, err := open()
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := greet(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func greet(conn *dbus.Conn) error {
	if err := conn.Auth(nil); err != nil {
		return err
	}
	return conn.Hello()
}

// Owner returns the unique name of the service that has a well-known name and
// serves our network namespace. It starts none.
func Owner(ctx context.Context, conn *dbus.Conn, service string) (string, error) {
	var owner string
	if err := conn.BusObject().CallWithContext(ctx, name+".GetNameOwner", 0, service).Store(&owner); err != nil {
		return "", fmt.Errorf("find %s: %w", service, err)
	}
	var pid uint32
	if err := conn.BusObject().CallWithContext(ctx, name+".GetConnectionUnixProcessID", 0, owner).Store(&pid); err != nil {
		return "", fmt.Errorf("find %s: %w", service, err)
	}
	if !Here(int(pid)) {
		return "", fmt.Errorf("%s: %w", service, ErrElsewhere)
	}
	return owner, nil
}

// Here reports whether a process is in our network namespace.
func Here(pid int) bool {
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/net")
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/thread-self/ns/net")
	return err == nil && ours == theirs
}
