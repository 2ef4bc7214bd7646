package tun

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	wgtun "golang.zx2c4.com/wireguard/tun"
)

// DefaultMTU is mif0's MTU where nothing else is asked for: with unsplit
// super-packets a larger one buys nothing and costs path MTU trouble.
const DefaultMTU = 1500

// queueLen is the device's packet queue; the kernel's default of 500 is overrun
// when thousands of sockets send at once.
const queueLen = 4096

// Config says what the device is to be.
type Config struct {
	Name      string
	MTU       int            // bytes; 0 means DefaultMTU
	Addresses []netip.Prefix // the host's own on the device
}

// Device is an open mif0. Read belongs to one goroutine; every other method is
// safe for concurrent use. The kernel removes the device, its addresses and
// routes when the process ends, however it ends.
type Device struct {
	wg        wgtun.Device // owns the device; its own Read and Write are not used
	raw       syscall.RawConn
	name      string
	index     int
	mtu       int
	addresses []netip.Prefix // the host's own on it
	events    sync.WaitGroup
	writes    sync.Pool
	branching sync.Mutex
	branches  atomic.Pointer[branches] // nil: there are none
	dropped   atomic.Uint64
	invalid   atomic.Uint64
	closing   atomic.Bool
}

// Open creates the device, gives it its addresses and brings it up. Errors say
// what the person has to do.
func Open(cfg Config) (*Device, error) {
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	wg, err := wgtun.CreateTUN(cfg.Name, cfg.MTU)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", cfg.Name, explain(cfg.Name, err))
	}
	d := &Device{wg: wg, mtu: cfg.MTU, addresses: cfg.Addresses}
	d.writes.New = func() any { return new(vector) }
	d.events.Go(d.drainEvents)
	if err := d.setUp(cfg); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// explain adds to an error of the kernel's what to do about it.
func explain(name string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("an interface of that name is in use (stop the other mifvif, or name another one in interface.name): %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("no permission (run as root, or with CAP_NET_ADMIN): %w", err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s exists and is not a TUN device, or is no valid interface name: %w", name, err)
	}
	if _, stat := os.Stat("/dev/net/tun"); stat != nil {
		return fmt.Errorf("the kernel offers no TUN devices (modprobe tun, or pass /dev/net/tun into the container): %w", err)
	}
	return err
}

// setUp does what wireguard's package does not: queue length, addresses, up.
func (d *Device) setUp(cfg Config) error {
	name, err := d.wg.Name()
	if err != nil {
		return fmt.Errorf("read the device's name: %w", err)
	}
	d.name = name
	if d.raw, err = d.wg.File().SyscallConn(); err != nil {
		return fmt.Errorf("reach the file of %s: %w", name, err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	d.index = link.Attrs().Index
	if err := netlink.LinkSetTxQLen(link, queueLen); err != nil {
		return fmt.Errorf("set the queue length of %s: %w", name, err)
	}
	if err := netlink.LinkSetGroup(link, group); err != nil {
		return fmt.Errorf("set the group of %s: %w", name, err)
	}
	d.tune()
	for _, p := range cfg.Addresses {
		if err := addAddress(link, p); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return addHop(link)
}

// addAddress puts p on link, without duplicate address detection: nobody else
// is on it. A host without IPv6 does without the IPv6 address.
func addAddress(link netlink.Link, p netip.Prefix) error {
	addr, err := netlink.ParseAddr(p.String())
	if err != nil {
		return fmt.Errorf("parse address %s: %w", p, err)
	}
	addr.Flags = unix.IFA_F_NODAD
	err = netlink.AddrAdd(link, addr)
	if p.Addr().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP)) {
		return nil
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address %s to %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}

// tune sets the sysctls that are the device's own: answers come from anywhere,
// so the reverse path is checked loosely whatever `all` says, and nobody
// advertises on it.
func (d *Device) tune() {
	for path, value := range map[string]string{
		"/proc/sys/net/ipv4/conf/" + d.name + "/rp_filter": "2",
		"/proc/sys/net/ipv6/conf/" + d.name + "/accept_ra": "0",
		"/proc/sys/net/ipv6/conf/" + d.name + "/autoconf":  "0",
	} {
		_ = os.WriteFile(path, []byte(value), 0) // a kernel without the knob needs no setting
	}
}

// drainEvents empties the event channel of wireguard's package, which would
// otherwise fill; netwatch sees the same events and more.
func (d *Device) drainEvents() {
	for range d.wg.Events() {
	}
}

// Name returns the interface's name.
func (d *Device) Name() string { return d.name }

// Ifindex returns the interface's index.
func (d *Device) Ifindex() int { return d.index }

// MTU returns the interface's MTU in bytes.
func (d *Device) MTU() int { return d.mtu }

// Dropped returns how many packets the kernel did not take.
func (d *Device) Dropped() uint64 { return d.dropped.Load() }

// Invalid returns how many packets came with a virtio header that does not fit.
func (d *Device) Invalid() uint64 { return d.invalid.Load() }

// Close removes the device; a blocked Read returns os.ErrClosed.
func (d *Device) Close() error {
	d.closing.Store(true)
	err := d.wg.Close()
	d.events.Wait()
	return err
}
