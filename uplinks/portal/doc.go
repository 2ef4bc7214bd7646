// Package portal lets a person reach the captive portal of one provisioning
// domain, and nothing but that domain (RFC 6418 4.1 and 4.4: general apps must
// never see what a captive network answers).
//
// A Proxy is an HTTP proxy on the loopback. Whatever is asked of it, names
// included, is resolved and connected inside its domain; it must not know why
// the domain is captive or who asks.
package portal
