// Package ra hears the router advertisements of the links it is told to watch
// (RFC 4861, RFC 4191, RFC 8106, RFC 8781, RFC 8910, RFC 9463) and hands out what
// each says as a pvd.Report, that of an explicit provisioning domain (RFC 8801)
// under its id. It asks for advertisements when it begins to listen.
//
// The kernel goes on doing router discovery for itself; this package reads the
// same messages for what the kernel does not keep: which router said what, in
// which domain, until when. It configures nothing and remembers no object: the
// Builder does.
//
// Everything a link sends is hostile until it is read, and cheap until then: a
// message is checked as a whole before anything is made of it, its objects are
// counted and bounded, and each router of each link may speak so often and no
// oftener, strangers together so often. A flood on one link is heard by that
// link's goroutine alone.
package ra
