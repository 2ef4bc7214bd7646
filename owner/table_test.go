package owner

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"mifvif/flow"
)

func TestSocketsOfThisProcessAreItsOwn(t *testing.T) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	wild, err := net.ListenPacket("udp", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer wild.Close()
	_, c := connection(t, "127.0.0.1")
	table, err := Read()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	wildPort := wild.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	tests := map[string]struct {
		proto flow.Proto
		src   netip.AddrPort
	}{
		"udp":          {flow.UDP, udp.LocalAddr().(*net.UDPAddr).AddrPort()},
		"udp wildcard": {flow.UDP, netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), wildPort)},
		"tcp":          {flow.TCP, c.LocalAddr().(*net.TCPAddr).AddrPort()},
	}
	for name, tt := range tests {
		o, ok := table.Lookup(tt.proto, tt.src)
		if !ok || o.PID != os.Getpid() || int(o.UID) != os.Getuid() || o.Process == "" {
			t.Errorf("%s: %+v %t, want this process", name, o, ok)
		}
	}
	if o, ok := table.Lookup(flow.TCP, netip.MustParseAddrPort("192.0.2.1:1")); ok {
		t.Errorf("nobody's socket has the owner %+v", o)
	}
}
