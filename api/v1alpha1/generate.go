package v1alpha1

//go:generate sh ../../tools/generate/run.sh
