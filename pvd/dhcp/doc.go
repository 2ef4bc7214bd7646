// Package dhcp is what the DHCP clients of both address families do alike: they
// work on each link in a goroutine of its own (links.go), ask there through a
// packet socket beside the host's own (port.go), hear every server that answers
// (hear.go), and take back what a server said that does so no longer
// (servers.go).
//
// It must not know messages: what a frame says is for who asked.
package dhcp
