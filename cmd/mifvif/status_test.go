package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mifvif/control"
)

const goldenStatus = `mifvif v1  running for 2s
mif0  198.18.0.1/15  mtu 1500  the default route
flows  tcp 3  udp 1  icmp 0  other 0

DOMAIN  STATE    INTERFACE  RTT     LOSS  FLOWS  SHARE  UP         DOWN        SENT     RECEIVED
fiber   online   eth0       25.0ms  1.0%  4      100%   12 kbit/s  950 Mbit/s  2.0 KiB  3 B
lte     offline  wwan0      -       -     0      0%     0 bit/s    1.5 Gbit/s  0 B      0 B

DOMAIN  ADDRESSES                    NEXT HOPS    DNS
fiber   192.168.1.10 2001:db8:1::10  192.168.1.1  192.168.1.1 [2001:db8::53]
lte     -                            -            -

lte is offline: the link is down
warning: something
`

// TestStatusFitsAScreen: what status prints does not change unnoticed.
func TestStatusFitsAScreen(t *testing.T) {
	rtt, loss := 0.025, 0.01
	var out bytes.Buffer
	printStatus(&out, control.Status{
		Version: "v1", State: "running", Since: time.Now().Add(-2 * time.Second),
		Interface: control.Interface{Name: "mif0", Addresses: []string{"198.18.0.1/15"}, MTU: 1500, DefaultRoute: true},
		Flows:     control.Counts{TCP: 3, UDP: 1},
		PvDs: []control.PvD{
			{
				Name: "fiber", State: "online", Interface: "eth0", Sources: []string{"192.168.1.10", "2001:db8:1::10"}, NextHops: []string{"192.168.1.1"},
				DNS: []control.Resolver{{Address: "192.168.1.1:53"}, {Address: "[2001:db8::53]:53"}},
				RTT: &rtt, Loss: &loss, Flows: 4, TxBytes: 2048, RxBytes: 3, TxRate: 12_000, RxRate: 950_000_000,
			},
			{Name: "lte", State: "offline", Interface: "wwan0", RxRate: 1_500_000_000, Reason: "the link is down"},
		},
		Warnings: []string{"something"},
	})
	if diff := cmp.Diff(goldenStatus, out.String()); diff != "" {
		t.Error(diff)
	}
}
