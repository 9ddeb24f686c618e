# {% if cookiecutter.layer_names != "default" or cookiecutter._layers or cookiecutter.init_git is mapping %}
# {% include "rename_layers.py" %}
# {% endif %}
