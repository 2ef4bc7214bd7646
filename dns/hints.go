package dns

import (
	"slices"

	wire "github.com/miekg/dns"
)

// unhint takes the addresses out of service records (RFC 9460 7.3), which are a hint
// only: an app that connected by them would not have been told by the name's own
// addresses, so that its flow would follow no answer and no family were withheld.
// Records that require them stay as they are.
func unhint(sections ...[]wire.RR) {
	for _, section := range sections {
		for _, rr := range section {
			switch rr := rr.(type) {
			case *wire.SVCB:
				rr.Value = unhinted(rr.Value)
			case *wire.HTTPS:
				rr.Value = unhinted(rr.Value)
			}
		}
	}
}

func unhinted(params []wire.SVCBKeyValue) []wire.SVCBKeyValue {
	for _, p := range params {
		if m, ok := p.(*wire.SVCBMandatory); ok && slices.ContainsFunc(m.Code, hint) {
			return params
		}
	}
	return slices.DeleteFunc(params, func(p wire.SVCBKeyValue) bool { return hint(p.Key()) })
}

func hint(k wire.SVCBKey) bool { return k == wire.SVCB_IPV4HINT || k == wire.SVCB_IPV6HINT }
