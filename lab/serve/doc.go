// Package serve holds the servers of the laboratory: TCP and UDP peers that
// answer which source they saw, HTTP and DNS servers that keep a log of what
// they were asked.
//
// They get open sockets and know nothing of nodes and namespaces. Every server
// ends with its Close, which waits for all it started.
package serve
