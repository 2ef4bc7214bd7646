// Package demo shows mifvif to a person: it builds a host with two uplinks and
// an Internet, runs the real daemon in it, sends traffic of every kind, takes
// one uplink down and up, and tells in plain words where each flow went and
// why. It asks the servers whom they saw and the daemon what it decided.
package demo
