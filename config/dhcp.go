package config

import "mifvif/pvd"

// dhcp reads how DHCPv4 is used on a domain's interface.
func (r *reader) dhcp(at, s string) pvd.DHCP {
	switch s {
	case "inform":
	case "off":
		return pvd.DHCPOff
	case "client":
		return pvd.DHCPClient
	default:
		r.at(at, "unknown dhcp %q%s (inform, client, off)", s, meant(s, []string{"inform", "client", "off"}))
	}
	return pvd.DHCPInform
}
