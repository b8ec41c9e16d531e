/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package login

import (
	"fmt"

	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig returns a kubeconfig with the cluster, whose user logs in with these options by a program. name is
// the name of the cluster and of the context. There is no secret in it.
func (o *Options) Kubeconfig(cluster *clientcmdapi.Cluster, name, program string) ([]byte, error) {
	arguments, err := o.arguments()
	if err != nil {
		return nil, err
	}
	const user = "oidc"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = cluster
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
		APIVersion:      clientauthenticationv1.SchemeGroupVersion.String(),
		Command:         program,
		Args:            append([]string{"user", "login"}, arguments...),
		InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode,
		InstallHint:     "The login needs the program gatehouse. Install it in a directory of $PATH, or write its path to users[].user.exec.command of the kubeconfig.",
	}}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return data, nil
}
