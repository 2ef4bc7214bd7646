// Package probe finds out what lies behind each provisioning domain before it
// is used and while it is: the Internet, a captive portal, or nothing (RFC 7556
// 5.3; RFC 6418 4.4 and 5.5: an address alone proves nothing).
//
// It receives the present Set and hands on a pvd.Verdict for each domain
// instance. Everything it sends stays inside the domain it is about: the
// domain's own resolvers, source address and next hop. It must not know flows
// or policy, and decides nothing: the Builder turns verdicts into states.
//
// A domain is asked in this order (validate.go): the API that its network
// announced (api.go, RFC 8908), the URL of the configuration (page.go), and
// whether its resolvers make up addresses (hijack.go).
package probe
