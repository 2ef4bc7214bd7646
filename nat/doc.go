// Package nat carries UDP and ICMP echo by bindings: an app's socket on one
// side, a kernel socket bound to one domain on the other (RFC 4787, 5508, 7857).
//
// It receives parsed packets of the apps and a Choice for those it has no
// binding for; it hands packets on to the network and answers, with headers
// rebuilt, to mif0. Errors of the path come back as the ICMP errors they were.
// It must not know policy, what TCP carries, or how a domain is reached: sockets come
// from an Opener. RFC 6418 3.6-1: one mapping per app socket and domain, whatever the
// destination.
//
// TCP that is not ended in the house is translated by the kernel (offload);
// streams.go keeps these flows, of which it sees the SYNs and the errors of the path
// only: stream.go is one of them, stream_port.go where they leave from,
// stream_sweep.go how their ends are found.
//
// In the order of a packet: table.go finds its binding, send.go sends it;
// receive.go and errors.go bring back what answers, train.go hands it to the
// app; sweep.go ends what is idle. One goroutine polls the sockets of all
// bindings, so an idle one costs no stack and no buffer.
package nat
