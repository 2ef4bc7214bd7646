package tun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of NetworkManager on the system bus.
const (
	nmName   = "org.freedesktop.NetworkManager"
	nmPath   = "/org/freedesktop/NetworkManager"
	nmDevice = nmName + ".Device"

	errUnknownDevice = nmName + ".UnknownDevice"
)

// Unmanage tells NetworkManager that the device is none of its business, if it
// runs in the calling process's network namespace. It waits until NetworkManager
// has noticed the device or ctx ends. Nothing has to be undone: the word holds
// for as long as the device lives. Without a bus or NetworkManager it does
// nothing.
func Unmanage(ctx context.Context, name string) error {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil //nolint:nilerr // no bus, no NetworkManager
	}
	defer conn.Close()
	return unmanage(ctx, conn, name)
}

func unmanage(ctx context.Context, conn *dbus.Conn, name string) error {
	if !sharesNamespace(ctx, conn) {
		return nil
	}
	manager := conn.Object(nmName, nmPath)
	for {
		var device dbus.ObjectPath
		err := manager.CallWithContext(ctx, nmName+".GetDeviceByIpIface", dbus.FlagNoAutoStart, name).Store(&device)
		if err == nil {
			return setUnmanaged(ctx, conn.Object(nmName, device), name)
		}
		if !saysUnknown(err) {
			return fmt.Errorf("ask NetworkManager for %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for NetworkManager to notice %s: %w", name, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func setUnmanaged(ctx context.Context, device dbus.BusObject, name string) error {
	err := device.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Set", dbus.FlagNoAutoStart,
		nmDevice, "Managed", dbus.MakeVariant(false)).Err
	if err != nil {
		return fmt.Errorf("tell NetworkManager to leave %s alone: %w", name, err)
	}
	return nil
}

// saysUnknown reports whether NetworkManager has not seen the device yet.
func saysUnknown(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == errUnknownDevice
}

// sharesNamespace reports whether NetworkManager runs and sees the same devices
// as this process does.
func sharesNamespace(ctx context.Context, conn *dbus.Conn) bool {
	var pid uint32
	err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", dbus.FlagNoAutoStart, nmName).Store(&pid)
	if err != nil {
		return false
	}
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(int(pid)) + "/ns/net")
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/self/ns/net")
	return err == nil && ours == theirs
}
