// Package host points the host's own resolver at mifvif's and puts back what
// was there: systemd-resolved over D-Bus, a resolvconf program, or the file
// /etc/resolv.conf itself, also where it is a symbolic link or a bind mount.
//
// What a file held is written to an undo record, and into the new file as a
// comment, before anything is changed; so the original survives a killed daemon
// and a crashed machine. The servers that were named there before are the
// host's knowledge about its networks' resolvers; Discover returns them.
//
// It must not know domains: which server belongs to which is decided elsewhere.
// It answers the host's half of RFC 6418 4.1: one place asks, so one place can
// choose.
package host
