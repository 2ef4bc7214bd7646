package netwatch

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// addSparing adds a rule with Spared, of which the priority, the incoming
// interface and the table count. The netlink library drops the group of every
// rule whose table has a number above 255.
func addSparing(r Rule) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	family := uint8(unix.AF_INET)
	if r.Is6 {
		family = unix.AF_INET6
	}
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Type: unix.FR_ACT_TO_TBL}})
	number := func(attribute int, value int) {
		req.AddData(nl.NewRtAttr(attribute, binary.NativeEndian.AppendUint32(nil, uint32(value))))
	}
	number(nl.FRA_PRIORITY, r.Priority)
	number(nl.FRA_TABLE, r.Table)
	number(nl.FRA_SUPPRESS_IFGROUP, r.Spared)
	req.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, []byte{uint8(r.Protocol)}))
	if r.Iif != "" {
		req.AddData(nl.NewRtAttr(nl.FRA_IIFNAME, nl.ZeroTerminated(r.Iif)))
	}
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("add a sparing rule: %w", err)
	}
	return nil
}
