package lab_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"mifvif/lab"
	"mifvif/lab/labtest"
	"mifvif/lab/serve"
)

// inform sends a DHCPINFORM from the host by e1 and returns the answer.
func inform(t *testing.T, c *lab.Common, xid uint32) []byte {
	t.Helper()
	n := c.Network("n1")
	conn, err := c.Host.ListenUDP(lab.SocketOptions{Source: netip.AddrPortFrom(netip.IPv4Unspecified(), 68), Device: n.Link, Broadcast: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	link, err := c.Host.Netlink().LinkByName(n.Link)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 240, 300)
	b[0], b[1], b[2] = 1, 1, 6
	binary.BigEndian.PutUint32(b[4:], xid)
	copy(b[12:], n.Host4().AsSlice())
	copy(b[28:], link.Attrs().HardwareAddr)
	copy(b[236:], []byte{99, 130, 83, 99})
	b = append(b, 53, 1, serve.DHCPInform, 55, 3, 42, 114, 121, 255)
	b = append(b, make([]byte, 300-len(b))...)
	if _, err := conn.WriteTo(b, &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer := make([]byte, 2048)
	got, _, err := conn.ReadFromUDP(answer)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return answer[240:got]
}

func TestDnsmasqServesANetwork(t *testing.T) {
	labtest.Need(t, "dnsmasq")
	layout := lab.TwoNetworks()
	layout.Networks[0].DHCP = &lab.DHCP{Options: []string{"42,10.1.0.123", "114,https://portal.n1.example.com/api"}}
	c := newCommon(t, layout)
	answer := string(inform(t, c, 7))
	for _, want := range []string{"\x2a\x04\x0a\x01\x00\x7b", "https://portal.n1.example.com/api"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer %q lacks %q\n%s", answer, want, c.Dnsmasq["n1"].Log())
		}
	}
	asked := func() bool { return strings.Contains(c.Dnsmasq["n1"].Log(), "DHCPINFORM(lan) 10.1.0.2") }
	for deadline := time.Now().Add(10 * time.Second); !asked(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say who asked:\n%s", c.Dnsmasq["n1"].Log())
		}
	}
}

func TestTheRawAnswererSendsWhatItIsGiven(t *testing.T) {
	c := newCommon(t, lab.TwoNetworks())
	raw := []byte{121, 8, 24, 10, 66, 0, 10, 1, 0, 1}
	s, err := c.AnswerDHCP("n1", serve.DHCPAnswers{Options: raw})
	if err != nil {
		t.Fatal(err)
	}
	answer := inform(t, c, 9)
	if want := append([]byte{53, 1, 5, 54, 4, 10, 1, 0, 1}, raw...); !strings.HasPrefix(string(answer), string(want)) {
		t.Errorf("options are %x, want them to begin with %x", answer, want)
	}
	if q := s.Queries(); len(q) != 1 || q[0].Type != serve.DHCPInform || q[0].Transmit != 9 || !q[0].Asked(121) || q[0].Asked(108) {
		t.Errorf("queries %+v", q)
	}
}
