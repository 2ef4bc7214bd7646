package tun

import (
	"context"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"mifvif/netwatch/bus/bustest"
)

const mif0Path = dbus.ObjectPath(nmPath + "/Devices/7")

// fakeManager is NetworkManager as far as it is spoken to: it notices a device
// only when it is asked for the second time.
type fakeManager struct{ asked int }

func (f *fakeManager) GetDeviceByIpIface(name string) (dbus.ObjectPath, *dbus.Error) {
	if f.asked++; f.asked < 2 || name != "mif0" {
		return "", dbus.NewError(errUnknownDevice, []any{"No device found"})
	}
	return mif0Path, nil
}

func connectBus(t *testing.T, address string) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestNetworkManagerIsToldToLeaveTheDeviceAlone(t *testing.T) {
	address := bustest.Start(t)
	client := connectBus(t, address)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := unmanage(ctx, client, "mif0"); err != nil {
		t.Errorf("without NetworkManager: %v", err)
	}

	server := connectBus(t, address)
	if err := server.Export(new(fakeManager), nmPath, nmName); err != nil {
		t.Fatal(err)
	}
	props, err := prop.Export(server, mif0Path, prop.Map{nmDevice: {"Managed": {Value: true, Writable: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.RequestName(nmName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if err := unmanage(ctx, client, "mif0"); err != nil {
		t.Fatal(err)
	}
	if managed := props.GetMust(nmDevice, "Managed"); managed != false {
		t.Errorf("Managed is %v", managed)
	}

	short, stop := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer stop()
	if err := unmanage(short, client, "mif1"); err == nil {
		t.Error("a device that never comes was told off")
	}
}
