package tun

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"mifvif/lab/labtest"
)

func mif0() Config {
	return Config{Name: "mif0", Addresses: []netip.Prefix{
		netip.MustParsePrefix("198.18.0.1/15"), netip.MustParsePrefix("2001:2::1/48"),
	}}
}

// withMif0 runs f in a fresh network namespace with mif0.
func withMif0(t *testing.T, f func(d *Device)) {
	t.Helper()
	labtest.InNamespace(t, func() {
		d, err := Open(mif0())
		if err != nil {
			t.Errorf("open: %v", err)
			return
		}
		defer d.Close()
		f(d)
	})
}

func TestWhatAppsSendIsReadAndWhatIsWrittenArrives(t *testing.T) {
	withMif0(t, func(d *Device) {
		app, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(198, 18, 0, 1)})
		if err != nil {
			t.Errorf("listen: %v", err)
			return
		}
		defer app.Close()
		if _, err := app.WriteTo([]byte("out"), &net.UDPAddr{IP: net.IPv4(198, 18, 0, 9), Port: 7}); err != nil {
			t.Errorf("send: %v", err)
			return
		}
		p := readUDP(t, d)
		if !p.Header.NeedsChecksum || string(p.Data[28:]) != "out" {
			t.Errorf("read %+v %q", p.Header, p.Data)
		}
		// The same packet turned round is its answer.
		b := append([]byte(nil), p.Data...)
		copy(b[12:16], p.Data[16:20])
		copy(b[16:20], p.Data[12:16])
		copy(b[20:22], p.Data[22:24])
		copy(b[22:24], p.Data[20:22])
		if err := d.Write(p.Header, b[:20], b[20:]); err != nil {
			t.Errorf("write: %v", err)
		}
		_ = app.SetReadDeadline(time.Now().Add(5 * time.Second))
		got := make([]byte, 100)
		n, from, err := app.ReadFrom(got)
		if err != nil || string(got[:n]) != "out" || from.String() != "198.18.0.9:7" {
			t.Errorf("the app got %q from %v: %v", got[:n], from, err)
		}
	})
}

// readUDP returns the next IPv4 UDP packet of the device.
func readUDP(t *testing.T, d *Device) Packet {
	t.Helper()
	batch := NewBatch()
	for range 100 {
		packets, err := d.Read(batch)
		if err != nil {
			t.Errorf("read: %v", err)
			return Packet{}
		}
		for _, p := range packets {
			if p.Data[0]>>4 == 4 && p.Data[9] == 17 {
				return p
			}
		}
	}
	t.Error("no UDP packet came")
	return Packet{}
}

func TestCloseWakesTheReaderAndRemovesTheDevice(t *testing.T) {
	withMif0(t, func(d *Device) {
		done := make(chan error, 1)
		go func() {
			b := NewBatch()
			for {
				if _, err := d.Read(b); err != nil {
					done <- err
					return
				}
			}
		}()
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		select {
		case err := <-done:
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("the reader got %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the reader did not wake")
		}
		if _, err := net.InterfaceByName("mif0"); err == nil {
			t.Error("mif0 is still there")
		}
	})
}

func TestADeviceThatSomebodyRemovesIsSaidSo(t *testing.T) {
	withMif0(t, func(d *Device) {
		read := make(chan error, 1)
		go func() {
			batch := NewBatch()
			for {
				if _, err := d.Read(batch); err != nil {
					read <- err
					return
				}
			}
		}()
		if err := netlink.LinkDel(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: d.Ifindex()}}); err != nil {
			t.Errorf("delete: %v", err)
			return
		}
		if err := <-read; !errors.Is(err, ErrGone) {
			t.Errorf("the reader hears %v, want %v", err, ErrGone)
		}
	})
}

func TestANameInUseIsSaidSo(t *testing.T) {
	withMif0(t, func(*Device) {
		_, err := Open(mif0())
		if err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("a second device of the name: %v", err)
		}
	})
}

func TestWriteDoesNotAllocate(t *testing.T) {
	withMif0(t, func(d *Device) {
		b := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 1, 253, 0, 0, 198, 18, 0, 7, 198, 18, 0, 1}
		if n := testing.AllocsPerRun(100, func() { _ = d.Write(Header{}, b) }); n > 0 {
			t.Errorf("%g allocations per written packet", n)
		}
	})
}
