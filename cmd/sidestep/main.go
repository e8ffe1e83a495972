// Command sidestep moves an Istio mesh from sidecars to a hybrid ambient mesh.
package main

func main() {}
