"Installs what settings.ini says: every field is read from there, nothing is decided here."

from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
words = lambda key: cfg.get(key, "").split()
readme = here / "README.md"

licenses = {"mit": "MIT"}
statuses = [
    "1 - Planning",
    "2 - Pre-Alpha",
    "3 - Alpha",
    "4 - Beta",
    "5 - Production/Stable",
    "6 - Mature",
    "7 - Inactive",
]
minor = lambda version: int(version.split(".")[1])
pythons = [
    f"3.{m}" for m in range(minor(cfg["min_python"]), minor(cfg["max_python"]) + 1)
]  # those that `make matrix` tries

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else cfg["description"],
    long_description_content_type="text/markdown",
    keywords=words("keywords"),
    author=cfg["author"],
    author_email=cfg["author_email"],
    license=licenses[cfg["license"]],
    license_files=["LICENSE"],
    url=cfg["git_url"],
    project_urls={"Documentation": cfg["doc_host"] + cfg["doc_baseurl"], "Source": cfg["git_url"]},
    classifiers=[
        f"Development Status :: {statuses[int(cfg['status']) - 1]}",
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        *(f"Programming Language :: Python :: {p}" for p in pythons),
    ],
    python_requires=f">={cfg['min_python']}",
    install_requires=words("requirements") + words("pip_requirements"),
    extras_require={
        "app": words("app_requirements"),
        "data": words("data_requirements"),
        "bulk": words("bulk_requirements"),
        "train": words("train_requirements"),
        "test": words("test_requirements"),
        "dev": words("train_requirements") + words("test_requirements") + words("dev_requirements"),
    },
    packages=find_packages(include=[f"{cfg['lib_path']}*"]),
    package_data={cfg["lib_path"]: ["configs/**/*.yaml", "assets/**"]},
    include_package_data=False,
    zip_safe=False,
    entry_points={
        "console_scripts": words("console_scripts"),
        "nbdev": [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
)
