// Package tun is mif0: the device that the host's traffic comes out of and goes
// back into, and (draw*.go) what draws that traffic in and undoes it.
//
// It receives and hands on whole IP packets with their virtio-net header:
// super-packets of up to 64 KiB stay unsplit, so that one system call and one
// pass through a TCP stack serve some forty wire packets. It knows nothing of
// flows, domains or policy. RFC 6418 3.8-4: the virtual interface's owner
// controls its routes, rules and MTU and repairs them.
package tun
