// Package packet reads and rewrites IP, TCP, UDP and ICMP headers and keeps
// their checksums right.
//
// It receives bytes from outside and treats them as hostile: Parse checks every
// length before it is used, allocates nothing and says in one typed error what
// is wrong. It knows nothing of flows, bindings or devices. RFC 791, 8200, 768,
// 9293, 792, 4443; checksum updates after RFC 1624.
package packet
