// Package additional fetches the additional information of explicit provisioning
// domains: a JSON object over HTTPS (RFC 8801 4) that says which zones a domain
// has and whether it leads to the Internet, and that proves its id by TLS.
//
// It receives the present Set and hands on a pvd.Report for each object that is
// valid, and one that withdraws it when it is not any more. Whatever it sends
// stays inside the domain it is about; the function that dials is handed in. It
// must not know resolvers, sockets or policy.
//
// Timing and limits are those of RFC 8801 4.1: timing.go has them all. A domain
// whose information is wrong in any way is not asked again as long as the host
// stays attached (RFC 6418 6-5).
package additional
