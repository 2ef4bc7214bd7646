package lease_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/exec"
	"path"
	"slices"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/netwatch"
	"mifvif/pvd"
	"mifvif/pvd/lease"
	"mifvif/pvd/pvdtest"
)

// networkd is where distributions have it.
const networkd = "/lib/systemd/systemd-networkd"

// TestWhatNetworkdWritesIsRead has the real one lease an address and use resolvers of
// its user's.
func TestWhatNetworkdWritesIsRead(t *testing.T) {
	labtest.Need(t, networkd, "dnsmasq")
	layout := lab.TwoNetworks()
	layout.Networks[0].Detached = true
	layout.Networks[0].DHCP = &lab.DHCP{Options: []string{"6,10.1.0.53", "42,10.1.0.123", "121,0.0.0.0/0,10.1.0.1,10.66.0.0/24,10.1.0.1"}}
	c, err := lab.NewCommon(layout, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := c.Host.WriteFile("/run/e1.network", []byte(
		"[Match]\nName=e1\n[Network]\nDHCP=ipv4\nDNS=192.0.2.53\nDomains=home.example.com ~corp.example.com\n")); err != nil {
		t.Fatal(err)
	}
	// Where /sys is read-only it takes itself to be in a container and waits for no udev.
	cmd := exec.Command("unshare", "--mount", "sh", "-c", "mount -o remount,bind,ro /sys && mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp && "+
		"mv /run/e1.network /run/systemd/network/ && chown -R systemd-network: /run/systemd/netif; exec "+networkd)
	process, err := c.Host.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer process.Kill()
	index, err := c.Host.LinkIndex("e1")
	if err != nil {
		t.Fatal(err)
	}

	reports := make(chan pvd.Report, 100)
	s := lease.New(lease.Config{
		Directory: fmt.Sprintf("/proc/%d/root%s", process.Pid(), lease.Directory), Deliver: func(r pvd.Report) { reports <- r },
	}, slog.New(slog.DiscardHandler))
	defer pvdtest.Run(t, s.Run)()
	want := map[pvd.Origin][]string{
		pvd.FromDHCPv4:  {"hop 10.1.0.1", "route 10.66.0.0/24", "dns 10.1.0.53", "ntp 10.1.0.123"},
		pvd.FromManager: {"dns 192.0.2.53", "search home.example.com", "zone corp.example.com"},
	}
	has := func(r pvd.Report) bool {
		have := pvdtest.Lines(r)
		for _, w := range want[r.Origin] {
			if !slices.Contains(have, w) {
				return false
			}
		}
		return true
	}
	for deadline := time.After(30 * time.Second); len(want) > 0; {
		s.Watch(netwatch.Link{Index: index, Name: "e1"}) // so that the files are looked at now
		select {
		case r := <-reports:
			if has(r) {
				delete(want, r.Origin)
			}
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			log, err := c.Host.ReadFile(path.Join(lease.Directory, "links", fmt.Sprint(index)))
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.New("networkd knows nothing of the link")
			}
			t.Fatalf("not read: %v\n%s\n%v\n%s", want, log, err, c.Dnsmasq["n1"].Log())
		}
	}
}
