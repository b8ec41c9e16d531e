module github.com/gatehouse-dev/gatehouse/test/robustness

go 1.26.0

require (
	github.com/anishathalye/porcupine v1.3.1
	sigs.k8s.io/yaml v1.6.0
)

require go.yaml.in/yaml/v2 v2.4.2 // indirect
