package networkmanager

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Names of NetworkManager's interface on the bus.
const (
	service  = "org.freedesktop.NetworkManager"
	root     = dbus.ObjectPath("/org/freedesktop/NetworkManager")
	device   = service + ".Device"
	ip4      = service + ".IP4Config"
	ip6      = service + ".IP6Config"
	lease4   = service + ".DHCP4Config"
	lease6   = service + ".DHCP6Config"
	property = "org.freedesktop.DBus.Properties"
)

// maxDevices bounds the devices that are asked about.
const maxDevices = 256

// activated is the state of a device that is in use; those above it are on their
// way out.
const activated = 100

// properties are those of one interface of one object.
type properties map[string]dbus.Variant

// known is what NetworkManager knows of one device.
type known struct {
	ip4, ip6       properties // in force
	lease4, lease6 properties // Options of the DHCP clients
}

// read asks what is known of the devices in use, by the name of the interface that
// carries their traffic.
func read(ctx context.Context, conn *dbus.Conn) (map[string]known, error) {
	var devices []dbus.ObjectPath
	if err := conn.Object(service, root).CallWithContext(ctx, service+".GetDevices", dbus.FlagNoAutoStart).Store(&devices); err != nil {
		return nil, fmt.Errorf("ask NetworkManager for devices: %w", err)
	}
	out := make(map[string]known)
	for _, path := range devices[:min(len(devices), maxDevices)] {
		all, err := ask(ctx, conn, path, device)
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			continue // gone since
		}
		name := get[string](all, "IpInterface")
		if name == "" {
			name = get[string](all, "Interface")
		}
		if name == "" || get[uint32](all, "State") != activated {
			continue
		}
		part := func(key, iface string) properties {
			p, _ := ask(ctx, conn, get[dbus.ObjectPath](all, key), iface)
			return p
		}
		options := func(key, iface string) properties {
			return get[map[string]dbus.Variant](part(key, iface), "Options")
		}
		out[name] = known{
			ip4: part("Ip4Config", ip4), ip6: part("Ip6Config", ip6),
			lease4: options("Dhcp4Config", lease4), lease6: options("Dhcp6Config", lease6),
		}
	}
	return out, ctx.Err()
}

// ask returns the properties of one interface of an object, none of the object "/",
// which stands for nothing there.
func ask(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, iface string) (properties, error) {
	if !path.IsValid() || path == "/" {
		return nil, nil
	}
	var all map[string]dbus.Variant
	err := conn.Object(service, path).CallWithContext(ctx, property+".GetAll", dbus.FlagNoAutoStart, iface).Store(&all)
	return all, err
}

// get returns a property, the zero value where it is not there or of another type.
func get[T any](p properties, name string) (v T) {
	v, _ = p[name].Value().(T)
	return v
}
