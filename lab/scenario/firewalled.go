package scenario

import (
	"context"
	"fmt"
	"os/exec"

	"mifvif/lab"
)

// stateful is the firewall that most hosts have: it lets in what answers, and
// from a LAN out to mif0.
const stateful = `table inet host {
	chain input {
		type filter hook input priority 0; policy drop;
		iifname lo accept
		ct state established,related accept
		ct state invalid drop
		icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept
		iifname ` + lab.LANLink + ` oifname mif0 accept
	}
	chain output {
		type filter hook output priority 0; policy accept;
		ct state invalid drop
	}
}`

// firewall gives the host a stateful firewall and the strictest reverse path filter.
func firewall(e *Env) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return &missingTool{"nft"}
	}
	exit, err := e.Host.Exec(context.Background(), "nft", stateful)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("nft: %v", exit)
	}
	if err != nil {
		return err
	}
	for _, link := range []string{"all", "default", "e1", "e2", lab.LANLink} {
		if err := e.Host.SetSysctl("net/ipv4/conf/"+link+"/rp_filter", "1"); err != nil {
			return err
		}
	}
	return nil
}

// firewalled has everything work behind the firewall, whoever carries it.
func firewalled(ctx context.Context, e *Env) error {
	for _, e.App = range []*lab.Node{e.Host, e.Client} {
		for _, dst := range bothFamilies(firstE1) {
			for range 2 { // the first is terminated, the second translated, unless its way is known
				t, err := e.Talk(ctx, dst, lab.SocketOptions{})
				if err != nil {
					return fmt.Errorf("of %s: %w", e.App.Name, err)
				}
				for range 10 {
					if err := t.Say(); err != nil {
						return fmt.Errorf("of %s: %w", e.App.Name, err)
					}
				}
				t.Close()
			}
			if err := e.goes(ctx, "offloaded", "n1", dst); err != nil {
				return fmt.Errorf("of %s: %w", e.App.Name, err)
			}
		}
	}
	e.App = e.Host
	for _, dst := range bothFamilies(firstE2) {
		open, err := e.sockets(lab.SocketOptions{}, 1, "n2", dst)
		if err != nil {
			return err
		}
		defer closeSockets(open)
		if err := open[0].converse(); err != nil {
			return err
		}
		if err := e.shortened(ctx, open[0].conn, true); err != nil {
			return err
		}
	}
	return nil
}
