package offload

import (
	"log/slog"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mifvif/lab"
	"mifvif/lab/labtest"
	heads "mifvif/packet"
)

// TestWhatComesIn has frames come in by two uplinks: a flow's own network answers it,
// with or without a priority on the frame, and nobody else, whatever address he uses.
func TestWhatComesIn(t *testing.T) {
	labtest.Need(t)
	w := lab.New(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { labtest.Must(t, w.Close()) })
	host, err := w.NewNode("h")
	labtest.Must(t, err)
	routers, err := w.NewNode("r")
	labtest.Must(t, err)
	links := []string{"e1", "e2"}
	for _, link := range links {
		labtest.Must(t, w.Veth(lab.End{Node: host, Link: link}, lab.End{Node: routers, Link: link}, 1500))
	}
	labtest.Must(t, host.LinkUp("lo"))
	own, err := host.LinkIndex("e1")
	labtest.Must(t, err)
	flows := []Flow{flow4, flow6}
	for i := range flows {
		flows[i].Ifindex = own
	}
	o := loaded(t, flows...)
	for _, link := range links {
		i, err := host.LinkIndex(link)
		labtest.Must(t, err)
		labtest.Must(t, host.Do(func() error { return o.hang(i, o.ingress, ebpf.AttachTCXIngress) }))
	}
	for _, test := range []struct {
		name, link string
		tag        []byte
		taken      uint64
	}{
		{"its own network", "e1", nil, 1},
		{"a priority", "e1", []byte{0x81, 0x00, 0x60, 0x00}, 1},
		{"a VLAN of its own link", "e1", []byte{0x81, 0x00, 0x60, 0x07}, 0},
		{"another network", "e2", nil, 0},
	} {
		to, err := host.MAC(test.link)
		labtest.Must(t, err)
		for _, f := range flows {
			before := o.Traffic(f).Rx.Segments
			p := heads.AppendAck(nil, f.Dst, f.Source, 7, 9)
			labtest.Must(t, routers.Do(func() error { return transmit(test.link, to, test.tag, p) }))
			labtest.Eventually(t, test.name+" to be taken for what it is", func() bool { return o.Traffic(f).Rx.Segments-before == test.taken })
		}
	}
}

// transmit sends a packet in a frame. The receiver's side of a veth mostly runs before
// the system call that sends is over.
func transmit(link string, to [6]byte, tag, p []byte) error {
	on, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ethertype := []byte{0x08, 0x00}
	if p[0]>>4 == 6 {
		ethertype = []byte{0x86, 0xdd}
	}
	frame := append(to[:], on.HardwareAddr...)
	frame = append(append(append(frame, tag...), ethertype...), p...)
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: on.Index})
}
