// Package load makes the traffic that iperf3 does not: many short connections,
// questions and answers, many flows at a time, DNS queries. It knows nothing of
// mifvif or the lab; a process of its own in the client's namespace runs it, so
// that no thread has to change namespaces while time is taken.
package load
