// Package owner says whose socket a local flow is: user, process and cgroup.
//
// It receives an app's flow and asks the kernel (sock_diag, /proc, the cgroup
// file system); it must not know what is decided about flows. A Finder asks about
// one socket, for rules about apps; a Table is a picture of all sockets of one
// moment, made for people.
package owner
