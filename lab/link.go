package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// An End names one end of a link: the interface Link of a node.
type End struct {
	Node *Node
	Link string
}

// String returns "h/e1".
func (e End) String() string { return e.Node.Name + "/" + e.Link }

// Veth joins two nodes with a plain link. Both ends are up. mtu 0 means 1500.
func (w *World) Veth(a, b End, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = a.Link, mtu
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Link, PeerNamespace: netlink.NsFd(b.Node.ns.Fd())}
	if err := a.Node.netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("join %s with %s: %w", a, b, err)
	}
	for _, e := range []End{a, b} {
		if mtu != 0 {
			if err := e.Node.SetMTU(e.Link, mtu); err != nil {
				return err
			}
		}
		if err := e.Node.LinkUp(e.Link); err != nil {
			return err
		}
	}
	return nil
}

// Bridge makes a bridge of the node's links, or adds them to it if it is there,
// and takes it up.
func (n *Node) Bridge(name string, ports ...string) error {
	bridge, err := n.netlink.LinkByName(name)
	if err != nil {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		bridge = &netlink.Bridge{LinkAttrs: attrs}
		if err := n.netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("make bridge %s/%s: %w", n.Name, name, err)
		}
	}
	for _, port := range ports {
		err := n.onLink(port, "join bridge", func(l netlink.Link) error { return n.netlink.LinkSetMaster(l, bridge) })
		if err != nil {
			return err
		}
	}
	return n.LinkUp(name)
}

// LinkUp takes a link up.
func (n *Node) LinkUp(link string) error {
	return n.onLink(link, "take up", n.netlink.LinkSetUp)
}

// LinkDown takes a link down as `ip link set LINK down` does: the kernel drops
// its routes and its IPv6 addresses. The other end loses its carrier.
func (n *Node) LinkDown(link string) error {
	return n.onLink(link, "take down", n.netlink.LinkSetDown)
}

// SetMTU sets a link's MTU in bytes.
func (n *Node) SetMTU(link string, mtu int) error {
	return n.onLink(link, "set the MTU of", func(l netlink.Link) error { return n.netlink.LinkSetMTU(l, mtu) })
}

// DeleteLink removes a link.
func (n *Node) DeleteLink(link string) error {
	return n.onLink(link, "delete", n.netlink.LinkDel)
}

// LinkIndex returns the interface index of a link.
func (n *Node) LinkIndex(link string) (index int, err error) {
	err = n.onLink(link, "find", func(l netlink.Link) error {
		index = l.Attrs().Index
		return nil
	})
	return index, err
}

// MAC returns a link's hardware address.
func (n *Node) MAC(link string) (mac [6]byte, err error) {
	err = n.onLink(link, "find", func(l netlink.Link) error {
		copy(mac[:], l.Attrs().HardwareAddr)
		return nil
	})
	return mac, err
}

// TxPackets returns how many packets a link has sent, 0 if it is not there.
func (n *Node) TxPackets(link string) (sent uint64) {
	_ = n.onLink(link, "count", func(l netlink.Link) error {
		sent = l.Attrs().Statistics.TxPackets
		return nil
	})
	return sent
}

// AddAddress adds addresses to a link.
func (n *Node) AddAddress(link string, addrs ...netip.Prefix) error {
	for _, a := range addrs {
		err := n.onLink(link, "add "+a.String()+" to", func(l netlink.Link) error {
			addr := &netlink.Addr{IPNet: ipNet(a)}
			if a.Addr().Is6() {
				addr.Flags = unix.IFA_F_NODAD // else it cannot be bound at once
			}
			return n.netlink.AddrReplace(l, addr)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Addresses returns the IPv4 and IPv6 addresses of a link with their prefixes.
func (n *Node) Addresses(link string) (all []netip.Prefix, err error) {
	err = n.onLink(link, "list the addresses of", func(l netlink.Link) error {
		addrs, err := n.netlink.AddrList(l, netlink.FAMILY_ALL)
		for _, a := range addrs {
			ip, _ := netip.AddrFromSlice(a.IP)
			bits, _ := a.Mask.Size()
			all = append(all, netip.PrefixFrom(ip.Unmap(), bits))
		}
		return err
	})
	return all, err
}

// DeleteAddress takes addresses from a link.
func (n *Node) DeleteAddress(link string, addrs ...netip.Prefix) error {
	for _, a := range addrs {
		err := n.onLink(link, "take "+a.String()+" from", func(l netlink.Link) error {
			return n.netlink.AddrDel(l, &netlink.Addr{IPNet: ipNet(a)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onLink does something with a link of the node and says what in the error.
func (n *Node) onLink(link, what string, f func(netlink.Link) error) error {
	l, err := n.netlink.LinkByName(link)
	if err == nil {
		err = f(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s/%s: %w", what, n.Name, link, err)
	}
	return nil
}
