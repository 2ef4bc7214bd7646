package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mifvif/cell"
)

// A Node is one machine of a world: a network namespace and a mount namespace.
// Its methods may be called from several goroutines; what they do in the node
// happens one after another.
type Node struct {
	// Name is the node's name in its world, also in errors.
	Name string

	world   *World
	thread  *cell.Thread
	netlink *netlink.Handle
	ns      *os.File // the network namespace
	id      uint64   // its inode
	// congestion is what routes ask for because the sysctl may not; written
	// while the world is built.
	congestion string
	children   children
}

// NewNode makes a node: loopback up, no other link, no filter, duplicate
// address detection and router advertisements off, CUBIC as congestion control
// (a namespace inherits the machine's, which may be any).
func (w *World) NewNode(name string) (*Node, error) {
	if w.Node(name) != nil {
		return nil, fmt.Errorf("make node %s: the name is taken", name)
	}
	n := &Node{Name: name, world: w}
	t, err := cell.StartThread(n.enter)
	if err != nil {
		return nil, fmt.Errorf("make node %s: %w", name, err)
	}
	n.thread = t
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	w.onClose(n.close)
	if err := n.plain(); err != nil {
		return nil, err
	}
	return n, nil
}

// enter runs on the node's own thread, first of all.
func (n *Node) enter() error {
	if err := isolate(); err != nil {
		return err
	}
	if err := furnish(); err != nil {
		return err
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("hold the namespace: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.Fd()), &st); err != nil {
		return fmt.Errorf("identify the namespace: %w", err)
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	n.ns, n.id, n.netlink = ns, st.Ino, nl
	return nil
}

// plain sets what every node starts from.
func (n *Node) plain() error {
	defaults := map[string]string{
		"net/ipv4/tcp_tw_reuse":               "1",
		"net/ipv6/conf/all/accept_dad":        "0",
		"net/ipv6/conf/default/accept_dad":    "0",
		"net/ipv6/conf/default/accept_ra":     "0",
		"net/ipv6/conf/default/dad_transmits": "0",
	}
	for key, value := range defaults {
		if err := n.SetSysctl(key, value); err != nil {
			return err
		}
	}
	if err := n.SetCongestion("cubic"); err != nil {
		return err
	}
	return n.LinkUp("lo")
}

// SetCongestion sets the congestion control of the node's TCP. A namespace may
// not choose every algorithm as its default (tcp_allowed_congestion_control is
// the machine's); then routes added from here on ask for it.
func (n *Node) SetCongestion(algorithm string) error {
	err := n.SetSysctl("net/ipv4/tcp_congestion_control", algorithm)
	if errors.Is(err, unix.EPERM) {
		n.congestion = algorithm
		return nil
	}
	n.congestion = ""
	return err
}

// Do runs f on the node's thread: sockets and files it opens are the node's. f
// must be quick and must not call methods of the same node. Goroutines that f
// starts do not run in the node.
func (n *Node) Do(f func() error) error { return n.thread.Do(f) }

// Netlink returns a handle that speaks with the node's kernel side. Use it from
// any goroutine.
func (n *Node) Netlink() *netlink.Handle { return n.netlink }

// Sysctl reads a setting of the node; key is a path below /proc/sys such as
// "net/ipv4/ip_forward".
func (n *Node) Sysctl(key string) (string, error) {
	b, err := n.ReadFile(filepath.Join("/proc/sys", key))
	return strings.TrimSpace(string(b)), err
}

// SetSysctl writes a setting of the node.
func (n *Node) SetSysctl(key, value string) error {
	return n.WriteFile(filepath.Join("/proc/sys", key), []byte(value))
}

// ReadFile reads a file as the node sees it.
func (n *Node) ReadFile(path string) (content []byte, err error) {
	err = n.Do(func() error {
		content, err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	return content, nil
}

// WriteFile writes a file as the node sees it. Only /run, /etc/resolv.conf and
// /proc/sys are the node's own: write nowhere else.
func (n *Node) WriteFile(path string, content []byte) error {
	err := n.Do(func() error { return os.WriteFile(path, content, 0o644) })
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nil
}

// close ends the node's children, then the node.
func (n *Node) close() error {
	n.children.kill()
	n.netlink.Close()
	n.thread.Stop()
	return n.ns.Close()
}
