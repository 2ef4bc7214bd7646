package tun

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
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

// startBus runs a message bus of the test's own and returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	exe, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dbus-daemon is not installed (apt-get install dbus), and CI must have it")
		}
		t.Skip("dbus-daemon is not installed (apt-get install dbus)")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "bus.conf")
	config := fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`, dir)
	if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--config-file="+conf, "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("start dbus-daemon: %v", err)
	}
	return strings.TrimSpace(address)
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
	address := startBus(t)
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
